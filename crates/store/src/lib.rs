//! Users, groups, links, sessions and audit on SQLite and PostgreSQL
