"""Baseline server: a constant response for authenticated users, and the files of a directory.

`python constant.py DIRECTORY` uses the service's settings from the environment.
"""

import logging
import os
import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from intake.database import Database
from intake.http.thread_pool import BoundedThreadPool
from intake.metrics import Metrics
from intake.server import Server
from intake.settings import Settings
from intake.users.accounts import authenticate
from intake.users.tokens import TokenSigner

THREADS = 8


def application(settings: Settings, directory: str) -> Starlette:
    database, keys = Database(settings, connections=THREADS), TokenSigner.from_settings(settings)
    threads = BoundedThreadPool(THREADS)

    async def constant(request: Request) -> Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        await threads.run(lambda: authenticate(database, keys, token=token))
        return Response(b"[]", media_type="application/json")

    return Starlette(routes=[Route("/constant", constant), Mount("/files", StaticFiles(directory=directory))])


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    settings = Settings.from_environment(os.environ)
    Server(application(settings, sys.argv[1]), settings, Metrics()).run()


if __name__ == "__main__":
    main()
