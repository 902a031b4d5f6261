-- +goose Up
CREATE TABLE files (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,              -- a tenant
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL           -- 0: never
);
CREATE INDEX files_owner ON files (owner, created, id);
CREATE INDEX files_expires ON files (expires);

CREATE TABLE batches (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,                -- as whom its requests are made
    dialect TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    input TEXT NOT NULL,              -- a file's id, '' if the requests came otherwise
    output TEXT NOT NULL,             -- files' ids, '' if there is none
    failures TEXT NOT NULL,
    status TEXT NOT NULL,
    metadata TEXT NOT NULL,           -- the caller's JSON
    errors TEXT NOT NULL,             -- JSON array
    total BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    finalizing BIGINT NOT NULL,       -- times of what has happened, 0 if it has not
    cancelling BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    holder TEXT NOT NULL,             -- the process that works on it, until:
    held BIGINT NOT NULL
);
CREATE INDEX batches_owner ON batches (owner, created, id);
CREATE INDEX batches_ended ON batches (ended);

CREATE TABLE batch_lines (
    batch TEXT NOT NULL,
    n BIGINT NOT NULL,
    name TEXT NOT NULL,               -- the caller's, one of its kind in the batch
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    begins BIGINT NOT NULL,           -- of the body, in the batch's own file
    bytes BIGINT NOT NULL,
    status BIGINT NOT NULL,           -- of the answer; 0: there is none yet
    request TEXT NOT NULL,            -- the request's id
    answer TEXT NOT NULL,
    PRIMARY KEY (batch, n)
);
CREATE INDEX batch_lines_status ON batch_lines (batch, status, n);
