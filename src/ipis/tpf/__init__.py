"""The trusted pseudonym manager: login, receive, pseudonymise, forward, receipt; never a health value or an identifier on disk."""
