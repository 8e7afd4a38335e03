-- What nodes answer to what one of them asked all: see postgres/00005.

-- +goose Up

CREATE TABLE node_answers (
    question TEXT NOT NULL,
    node_id  TEXT NOT NULL,
    answer   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (question, node_id)
) STRICT;

-- +goose Down

DROP TABLE node_answers;
