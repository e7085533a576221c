"""The command that shows what is kept of pictures on this machine, and removes it."""

from __future__ import annotations

import click

from .display import print_out


@click.command()
@click.option("--clear", is_flag=True, help="Remove all of it; what is trained on next is decoded anew.")
def cache(clear: bool) -> None:
    """Show where decoded pictures are kept, how many bytes there are, and the bound.

    Pictures that stay in their files ([data] load) are decoded once for all trainings on this machine. NAS_SENS_CACHE
    names another folder, NAS_SENS_MAX_CACHE_GIB another bound, 0 for none at all.
    """
    from ..data.cache_folder import cache_folder, cache_use, clear_cache, max_cache_bytes

    if clear:
        n, size = clear_cache()
        print_out(f"{n:,} files of {size / 2**30:.3g} GiB removed from {cache_folder()}")
        return
    n, size = cache_use()
    print_out(f"{cache_folder()}: {n:,} files, {size / 2**30:.3g} GiB of at most {max_cache_bytes() / 2**30:g} GiB")
