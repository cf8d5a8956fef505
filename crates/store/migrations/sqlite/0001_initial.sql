-- Timestamps are RFC 3339 text in UTC, which sorts as it reads; UUIDs are 16 bytes; JSON is text.

-- deactivated_by: why and by which source, as left:corp; null for active users and those deactivated by hand.
CREATE TABLE users (
    id              BLOB    NOT NULL PRIMARY KEY,
    version         INTEGER NOT NULL,
    username        TEXT    NOT NULL,
    username_key    TEXT    NOT NULL UNIQUE,
    first_name      TEXT    NOT NULL,
    last_name       TEXT    NOT NULL,
    email           TEXT    NOT NULL,
    email_key       TEXT    NOT NULL,
    display_name    TEXT    NOT NULL,
    path            TEXT    NOT NULL,
    profile         TEXT    NOT NULL,
    flags           TEXT    NOT NULL,
    live_groups     TEXT    NOT NULL,
    password_hash   TEXT,
    deactivated_by  TEXT,
    created_at      TEXT    NOT NULL,
    updated_at      TEXT    NOT NULL,
    last_sign_in    TEXT
) STRICT;
CREATE INDEX users_email ON users (email_key) WHERE email_key <> '';
-- Those whom a sync has to look at more closely, so that it need not look at everybody.
CREATE INDEX users_inactive ON users (id)
    WHERE COALESCE(CAST(flags ->> 'is_active' AS TEXT), '') NOT IN ('true', '1') OR deactivated_by IS NOT NULL;

CREATE TABLE groups (
    id         BLOB NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL UNIQUE,
    owner      TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

-- A link is absent when its entry was not found by the last run that should have found it; see sightings. The hash is of
-- dn_key, which may be longer than an index takes.
--
-- Of links and memberships there are more than of all else together, and looking for the other end of each would take much of a
-- first sync. Whoever writes one holds its user and its group, or has just made them; what goes with a user or a group is said
-- below.
CREATE TABLE links (
    kind         TEXT NOT NULL,
    source       TEXT NOT NULL,
    unique_id    TEXT NOT NULL,
    user_id      BLOB,
    group_id     BLOB,
    dn           TEXT NOT NULL,
    dn_key       TEXT NOT NULL,
    dn_hash      INTEGER NOT NULL,
    last_seen    TEXT NOT NULL,
    absent       INTEGER NOT NULL DEFAULT FALSE,
    fingerprint  BLOB,
    given_fields TEXT NOT NULL,
    given_flags  TEXT NOT NULL,
    live_groups  TEXT NOT NULL,
    account_ends TEXT,
    password_changed TEXT,
    parent_id    BLOB,
    -- The ID comes first: lists of them are looked up, and a planner must not find all links of a source by this index.
    PRIMARY KEY (unique_id, source, kind),
    -- Nobody stands for two entries of one directory. Groups may: two entries of one name are one local group.
    UNIQUE (user_id, source),
    CHECK ((kind = 'user' AND user_id IS NOT NULL AND group_id IS NULL)
        OR (kind = 'group' AND group_id IS NOT NULL AND user_id IS NULL))
) STRICT;
CREATE INDEX links_group ON links (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX links_parent ON links (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX links_dn ON links (dn_hash);
CREATE INDEX links_absent ON links (source, kind) WHERE absent;
-- Whom a sign-in or somebody by hand has changed since a sync wrote them.
CREATE INDEX links_unvouched ON links (source, unique_id) WHERE kind = 'user' AND fingerprint IS NULL;

-- An owner is the slug of the source that gave a row, or empty for one given by hand.
CREATE TABLE memberships (
    user_id  BLOB NOT NULL,
    group_id BLOB NOT NULL,
    owner    TEXT NOT NULL,
    PRIMARY KEY (user_id, group_id, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_group ON memberships (group_id);

CREATE TRIGGER users_gone AFTER DELETE ON users BEGIN
    DELETE FROM memberships WHERE user_id = OLD.id;
    DELETE FROM links WHERE user_id = OLD.id;
END;
CREATE TRIGGER groups_gone AFTER DELETE ON groups BEGIN
    DELETE FROM memberships WHERE group_id = OLD.id;
    DELETE FROM links WHERE group_id = OLD.id;
    UPDATE links SET parent_id = NULL WHERE parent_id = OLD.id;
END;

CREATE TABLE group_memberships (
    child_id  BLOB NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    parent_id BLOB NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    owner     TEXT NOT NULL,
    PRIMARY KEY (child_id, parent_id, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_memberships_parent ON group_memberships (parent_id);

CREATE TABLE group_permissions (
    group_id   BLOB NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    permission TEXT NOT NULL,
    PRIMARY KEY (group_id, permission)
) STRICT, WITHOUT ROWID;

-- The token is the SHA-256 of the half of the cookie's secret that stays, the validator that of the whole; the secret itself
-- is stored nowhere.
CREATE TABLE sessions (
    token           BLOB    NOT NULL PRIMARY KEY,
    validator       BLOB    NOT NULL,
    previous        BLOB,
    rotated_at      TEXT    NOT NULL,
    seen            INTEGER NOT NULL,
    user_id         BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source          TEXT,
    created_at      TEXT    NOT NULL,
    last_used       TEXT    NOT NULL,
    expires_at      TEXT    NOT NULL,
    idle_expires_at TEXT    NOT NULL,
    remember        INTEGER NOT NULL,
    user_agent      TEXT    NOT NULL,
    address         TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE offline_verifiers (
    user_id    BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source     TEXT NOT NULL,
    hash       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (user_id, source)
) STRICT, WITHOUT ROWID;

-- Failed attempts of late: a JSON array of microseconds since 1970. The key is a SHA-256 of what was typed.
CREATE TABLE throttle (
    kind       TEXT NOT NULL,
    key        BLOB NOT NULL,
    attempts   TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX throttle_age ON throttle (updated_at);

CREATE TABLE audit (
    id       BLOB NOT NULL PRIMARY KEY,
    at       TEXT NOT NULL,
    event    TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    username TEXT NOT NULL,
    user_id  BLOB,
    source   TEXT,
    address  TEXT NOT NULL,
    via      TEXT NOT NULL,
    detail   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_at ON audit (at, id);

CREATE TABLE tokens (
    id         BLOB NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    last_used  TEXT,
    revoked_at TEXT
) STRICT;

CREATE TABLE leases (
    name       TEXT NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE positions (
    source TEXT NOT NULL,
    feed   TEXT NOT NULL,
    value  TEXT NOT NULL,
    at     TEXT NOT NULL,
    PRIMARY KEY (source, feed)
) STRICT, WITHOUT ROWID;

-- Every link of a source that is not absent was found in the directory then, if not later: one row says what would else
-- have to be written into each.
CREATE TABLE sightings (
    source TEXT NOT NULL,
    kind   TEXT NOT NULL,
    at     TEXT NOT NULL,
    PRIMARY KEY (source, kind)
) STRICT, WITHOUT ROWID;

-- What a directory group listed when it was last read: one member a line. The digest is of everything else in the row.
CREATE TABLE rosters (
    source    TEXT NOT NULL,
    unique_id TEXT NOT NULL,
    dn_key    TEXT NOT NULL,
    head      TEXT NOT NULL,
    members   TEXT NOT NULL,
    digest    BLOB NOT NULL,
    PRIMARY KEY (source, unique_id)
) STRICT;

CREATE TABLE sync_runs (
    id         BLOB NOT NULL PRIMARY KEY,
    source     TEXT NOT NULL,
    mode       TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    dry_run    INTEGER NOT NULL,
    report     TEXT NOT NULL
) STRICT;
CREATE INDEX sync_runs_source ON sync_runs (source, started_at);

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
