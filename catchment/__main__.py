"""`python -m catchment` is the `catchment` command."""

from catchment.cli.main import main

if __name__ == "__main__":
    main()
