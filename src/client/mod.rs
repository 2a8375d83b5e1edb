//! Publisher, subscriber and ping engine, blocking.
