from click import echo


def main() -> None:
    echo("x")
