export type { ReadonlyStore } from "./part.js";
export type { RoomMessages } from "./room.js";
export type { RoomLease } from "./rooms.js";
export { createStores } from "./stores.js";
export type { Connection, Stores } from "./stores.js";
