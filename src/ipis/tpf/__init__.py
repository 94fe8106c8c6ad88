"""The trusted pseudonym manager: login, receive, pseudonymise, forward; no health value, no identifier on disk."""
