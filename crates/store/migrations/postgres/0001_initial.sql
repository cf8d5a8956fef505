-- Text that is compared or listed in order has the collation "C": the order of bytes, whatever the database's locale.

-- deactivated_by: why and by which source, as left:corp; null for active users and those deactivated by hand.
CREATE TABLE users (
    id              UUID NOT NULL PRIMARY KEY,
    version         BIGINT NOT NULL,
    username        TEXT NOT NULL,
    username_key    TEXT COLLATE "C" NOT NULL UNIQUE,
    first_name      TEXT NOT NULL,
    last_name       TEXT NOT NULL,
    email           TEXT NOT NULL,
    email_key       TEXT COLLATE "C" NOT NULL,
    display_name    TEXT NOT NULL,
    path            TEXT NOT NULL,
    profile         JSONB NOT NULL,
    live_groups     JSONB NOT NULL,
    flags           JSONB NOT NULL,
    password_hash   TEXT,
    deactivated_by  TEXT,
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    last_sign_in    TIMESTAMPTZ
);
CREATE INDEX users_email ON users (email_key) WHERE email_key <> '';
-- Those whom a sync has to look at more closely, so that it need not look at everybody.
CREATE INDEX users_inactive ON users (id)
    WHERE COALESCE(CAST(flags ->> 'is_active' AS TEXT), '') NOT IN ('true', '1') OR deactivated_by IS NOT NULL;

CREATE TABLE groups (
    id         UUID NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    name_key   TEXT COLLATE "C" NOT NULL UNIQUE,
    owner      TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- A link is absent when its entry was not found by the last run that should have found it; see sightings. The hash is of
-- dn_key, which may be longer than an index takes.
--
-- Of links and memberships there are more than of all else together, and looking for the other end of each would take much of a
-- first sync. Whoever writes one holds its user and its group, or has just made them; what goes with a user or a group is said
-- below.
CREATE TABLE links (
    kind         TEXT NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    unique_id    TEXT COLLATE "C" NOT NULL,
    user_id      UUID,
    group_id     UUID,
    dn           TEXT NOT NULL,
    dn_key       TEXT COLLATE "C" NOT NULL,
    dn_hash      BIGINT NOT NULL,
    last_seen    TIMESTAMPTZ NOT NULL,
    absent       BOOLEAN NOT NULL DEFAULT FALSE,
    fingerprint  BYTEA,
    given_fields JSONB NOT NULL,
    given_flags  JSONB NOT NULL,
    live_groups  JSONB NOT NULL,
    account_ends TIMESTAMPTZ,
    password_changed TIMESTAMPTZ,
    parent_id    UUID,
    -- The ID comes first: lists of them are looked up, and a planner must not find all links of a source by this index.
    PRIMARY KEY (unique_id, source, kind),
    -- Nobody stands for two entries of one directory. Groups may: two entries of one name are one local group.
    UNIQUE (user_id, source),
    CHECK ((kind = 'user' AND user_id IS NOT NULL AND group_id IS NULL)
        OR (kind = 'group' AND group_id IS NOT NULL AND user_id IS NULL))
);
CREATE INDEX links_group ON links (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX links_parent ON links (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX links_dn ON links (dn_hash);
CREATE INDEX links_absent ON links (source, kind) WHERE absent;
-- Whom a sign-in or somebody by hand has changed since a sync wrote them.
CREATE INDEX links_unvouched ON links (source, unique_id) WHERE kind = 'user' AND fingerprint IS NULL;

-- An owner is the slug of the source that gave a row, or empty for one given by hand.
CREATE TABLE memberships (
    user_id  UUID NOT NULL,
    group_id UUID NOT NULL,
    owner    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, group_id, owner)
);
CREATE INDEX memberships_group ON memberships (group_id);

CREATE FUNCTION users_gone() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM memberships WHERE user_id = OLD.id;
    DELETE FROM links WHERE user_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER users_gone AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION users_gone();

CREATE FUNCTION groups_gone() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM memberships WHERE group_id = OLD.id;
    DELETE FROM links WHERE group_id = OLD.id;
    UPDATE links SET parent_id = NULL WHERE parent_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER groups_gone AFTER DELETE ON groups FOR EACH ROW EXECUTE FUNCTION groups_gone();

CREATE TABLE group_memberships (
    child_id  UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    parent_id UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    owner     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (child_id, parent_id, owner)
);
CREATE INDEX group_memberships_parent ON group_memberships (parent_id);

CREATE TABLE group_permissions (
    group_id   UUID NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    permission TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, permission)
);

-- The token is the SHA-256 of the half of the cookie's secret that stays, the validator that of the whole; the secret itself
-- is stored nowhere.
CREATE TABLE sessions (
    token           BYTEA NOT NULL PRIMARY KEY,
    validator       BYTEA NOT NULL,
    previous        BYTEA,
    rotated_at      TIMESTAMPTZ NOT NULL,
    seen            BOOLEAN NOT NULL,
    user_id         UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source          TEXT COLLATE "C",
    created_at      TIMESTAMPTZ NOT NULL,
    last_used       TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL,
    idle_expires_at TIMESTAMPTZ NOT NULL,
    remember        BOOLEAN NOT NULL,
    user_agent      TEXT NOT NULL,
    address         TEXT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE offline_verifiers (
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    source     TEXT COLLATE "C" NOT NULL,
    hash       TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, source)
);

-- Failed attempts of late: a JSON array of microseconds since 1970. The key is a SHA-256 of what was typed.
CREATE TABLE throttle (
    kind       TEXT NOT NULL,
    key        BYTEA NOT NULL,
    attempts   JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX throttle_age ON throttle (updated_at);

CREATE TABLE audit (
    id       UUID NOT NULL PRIMARY KEY,
    at       TIMESTAMPTZ NOT NULL,
    event    TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    username TEXT NOT NULL,
    user_id  UUID,
    source   TEXT COLLATE "C",
    address  TEXT NOT NULL,
    via      TEXT NOT NULL,
    detail   JSONB NOT NULL
);
CREATE INDEX audit_at ON audit (at, id);

CREATE TABLE tokens (
    id         UUID NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    hash       BYTEA NOT NULL UNIQUE,
    scopes     JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    last_used  TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ
);

CREATE TABLE leases (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE positions (
    source TEXT COLLATE "C" NOT NULL,
    feed   TEXT COLLATE "C" NOT NULL,
    value  JSONB NOT NULL,
    at     TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (source, feed)
);

-- Every link of a source that is not absent was found in the directory then, if not later: one row says what would else
-- have to be written into each.
CREATE TABLE sightings (
    source TEXT COLLATE "C" NOT NULL,
    kind   TEXT NOT NULL,
    at     TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (source, kind)
);

-- What a directory group listed when it was last read: one member a line. The digest is of everything else in the row.
CREATE TABLE rosters (
    source    TEXT COLLATE "C" NOT NULL,
    unique_id TEXT COLLATE "C" NOT NULL,
    dn_key    TEXT NOT NULL,
    head      TEXT NOT NULL,
    members   TEXT NOT NULL,
    digest    BYTEA NOT NULL,
    PRIMARY KEY (source, unique_id)
);

CREATE TABLE sync_runs (
    id         UUID NOT NULL PRIMARY KEY,
    source     TEXT COLLATE "C" NOT NULL,
    mode       TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at   TIMESTAMPTZ,
    dry_run    BOOLEAN NOT NULL,
    report     JSONB NOT NULL
);
CREATE INDEX sync_runs_source ON sync_runs (source, started_at);

CREATE TABLE settings (
    key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
