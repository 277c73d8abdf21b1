"""The sub-commands of `sret-search`, a module for each; `run` is sret_search.run."""
