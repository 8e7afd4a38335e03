import { createContext, useContext } from "react";
import type { Side } from "../tally.js";

export const SideContext = createContext<Side>("left");
export const useSide = (): Side => useContext(SideContext);
