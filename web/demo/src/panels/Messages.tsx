import type { Message } from "@orbit/realtime";
import { useMe, useMember, useRoom } from "@orbit/realtime/react";
import { memo, useLayoutEffect, useRef, useState, type FormEvent } from "react";
import { useCommand } from "../side/command.js";
import { usePermits } from "../side/permits.js";
import { useToast } from "../ui/toasts.js";
import { useAsk } from "../ui/ask.js";
import { Menu } from "../ui/menu.js";
import { Row, StaleBadge } from "../ui/row.js";

/** How near to its end a list counts as being there, in pixels. */
const NEAR = 40;

export function Messages({ roomId }: { readonly roomId: string }) {
  const { messages, status, hasMore, loadMore } = useRoom(roomId);
  const toast = useToast();
  const list = useRef<HTMLUListElement>(null);
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    if (list.current && isAtEnd.current) list.current.scrollTop = list.current.scrollHeight;
  }, [messages]);
  const onScroll = () => {
    const { scrollTop, clientHeight, scrollHeight } = list.current!;
    isAtEnd.current = scrollTop + clientHeight >= scrollHeight - NEAR;
  };
  const older = () => void loadMore().catch(() => toast("Can't reach the server", "Older messages could not be fetched.", "bad"));
  return (
    <>
      <ul className="messages" ref={list} onScroll={onScroll} tabIndex={0} aria-label="Messages">
        {hasMore && (
          <li>
            <button type="button" className="quiet" onClick={older}>
              Older messages
            </button>
          </li>
        )}
        {status === "loading" && messages.length === 0 && <li className="row soft">Loading …</li>}
        {status === "ready" && messages.length === 0 && <li className="row soft">Nothing was said here yet.</li>}
        {messages.map((message) => (
          <Line key={message.id} message={message} />
        ))}
      </ul>
      <Composer roomId={roomId} />
    </>
  );
}

const clock = new Intl.DateTimeFormat("en", { timeStyle: "short", hourCycle: "h23" });

const Line = memo(function Line({ message }: { readonly message: Message }) {
  const author = useMember(message.authorId);
  const me = useMe();
  const permits = usePermits();
  const command = useCommand();
  const ask = useAsk();
  const path = `rooms/${message.roomId}/messages/${message.id}`;
  const isMine = message.authorId === me?.id;
  const edit = async () => {
    const body = await ask("Edit your message", [{ name: "body", label: "Message", value: message.body, maxLength: 4000 }]);
    if (body) void command("PATCH", path, body);
  };
  const remove = async () => {
    if (await ask("Delete this message?", [], "Delete", true)) void command("DELETE", path);
  };
  return (
    <Row entity={message}>
      <div className="message">
        <b>{author?.name ?? "Somebody who left"}</b>
        <time dateTime={message.postedAt}>
          {clock.format(new Date(message.postedAt))}
          {message.editedAt && ", edited"}
        </time>
        <StaleBadge id={message.id} />
        <p>{message.body}</p>
      </div>
      <Menu
        of="this message"
        actions={[
          isMine && { label: "Edit", run: () => void edit() },
          (isMine || permits.can("rooms.manage")) && { label: "Delete", isDanger: true, run: () => void remove() },
        ]}
      />
    </Row>
  );
});

function Composer({ roomId }: { readonly roomId: string }) {
  const command = useCommand();
  const [text, setText] = useState("");
  const send = async (event: FormEvent) => {
    event.preventDefault();
    const body = text.trim();
    if (!body) return;
    setText("");
    // What could not be said is not lost, unless something else is being typed.
    if (!(await command("POST", `rooms/${roomId}/messages`, { body }))) setText((typed) => typed || body);
  };
  return (
    <form className="composer" onSubmit={(event) => void send(event)}>
      <input
        aria-label="Message"
        placeholder="Say something"
        autoComplete="off"
        maxLength={4000}
        value={text}
        onChange={({ target }) => setText(target.value)}
      />
      <button type="submit" className="primary">
        Send
      </button>
    </form>
  );
}
