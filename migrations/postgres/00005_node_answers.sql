-- What nodes answer to what one of them asked all, by a command. The one that
-- asked deletes the rows; those of one that died are forgotten like commands.

-- +goose Up

CREATE TABLE node_answers (
    question TEXT COLLATE "C" NOT NULL,
    node_id  TEXT COLLATE "C" NOT NULL,
    answer   TEXT NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (question, node_id)
);

-- +goose Down

DROP TABLE node_answers;
