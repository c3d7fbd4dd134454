"""`python -m csbench`."""

from csbench.cli import main

if __name__ == "__main__":
    main()
