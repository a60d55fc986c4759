"""The prospects' door."""
