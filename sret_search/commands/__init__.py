"""The sub-commands of `sret-search`, one module each; `run` is sret_search.run."""
