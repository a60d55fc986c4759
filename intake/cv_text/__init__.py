"""Text of CVs, extracted by a sandboxed child process for each file."""
