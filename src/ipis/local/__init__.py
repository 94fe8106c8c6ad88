"""All four parties on one machine: starts `ipis <room> …` as processes and talks to them over sockets and files."""
