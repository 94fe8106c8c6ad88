"""The file portal on the internet: accounts, links, listing, download."""
