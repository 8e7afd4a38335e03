"use client";
export * from "./hooks.js";
export { RealtimeProvider, type RealtimeProviderProps } from "./provider.js";
