"""`imeiflow serve`: the web application with the runner inside."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from imeiflow.cli.following import run_loop
from imeiflow.cli.log import keep_log
from imeiflow.cli.option import command, log_options
from imeiflow.cli.output import count, say
from imeiflow.operations.configuration import load_configuration
from imeiflow.operations.session import Session
from imeiflow.web.server import open_socket, prepare_link, serve
from imeiflow.web.setting import WebSettings, check_exposure, read_metrics_token

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command(
    name="serve",
    examples="""
    imeiflow serve                          on this machine only: http://127.0.0.1:8080
    imeiflow serve --port 9000
    imeiflow serve --host 0.0.0.0 --tls-cert site.pem --tls-key site.key
    imeiflow serve --log-format json --log-to stderr         in a container
    imeiflow serve --public-url https://flow.example.com     behind a proxy that speaks TLS
    """,
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it listens.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, metavar="N", help="0 takes a free one."
)
@click.option("--public-url", metavar="URL", help="What people type, where a proxy stands before it.")
@click.option("--trusted-proxy", metavar="ADDRESS", help="The proxy whose word on the visitor's address counts.")
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Certificate, with its chain.")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Its key.")
@click.option("--metrics-token-file", type=_FILE, metavar="FILE", help="Holds the token that /metrics asks for.")
@log_options
def serve_command(
    *,
    host: str,
    port: int,
    public_url: str | None,
    trusted_proxy: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    metrics_token_file: Path | None,
    log_format: str,
    log_to: str,
) -> None:
    """Run the web application: pages for people, and the runner that works on their jobs.

    The first start prints a link that makes the first user; it can be used once, within a day. Ctrl-C lets calls
    under way end, and the jobs go on at the next start; a second Ctrl-C leaves at once.
    """
    settings = WebSettings(
        host=host,
        port=port,
        public_url=public_url,
        trusted_proxy=trusted_proxy,
        tls_cert=tls_cert,
        tls_key=tls_key,
        metrics_token=None if metrics_token_file is None else read_metrics_token(metrics_token_file),
    )
    configuration = load_configuration()
    stream = sys.stderr if log_to == "stderr" else None
    with keep_log(configuration, stream, is_json=log_format == "json"), Session.open(configuration) as session:
        check_exposure(settings, users=session.ledger.count_users())
        with open_socket(settings) as listener:
            url = settings.url(listener.getsockname()[1])
            link = prepare_link(session, url)

            def announce() -> None:
                click.echo(f"imeiflow is at {url}. Ctrl-C ends it.")
                if link is not None:
                    click.echo(f"Nobody can sign in yet. This link makes the first user, once:\n  {link}")

            def tell_stop(calls: int) -> None:
                if calls:
                    say(f"Stopping: {count(calls, 'call')} under way, and will still be charged. Ctrl-C again leaves.")

            run_loop(serve(session, settings, listener, on_ready=announce, on_stop=tell_stop))
