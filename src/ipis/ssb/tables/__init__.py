"""Control tables: this delivery, last year, the change between them, and the nation as last published."""
