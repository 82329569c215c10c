// Preact with htm: the one place that knows where they are vendored.
import { Fragment, createContext, h, render } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export {
  useCallback, useContext, useEffect, useId, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "./vendor/hooks.mjs";
export { Fragment, createContext, h, render };
export const html = htm.bind(h);
