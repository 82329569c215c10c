// @ts-check
// What several parts of the page share: the status, notices, the dialog that is open.
import { ApiError, get, maybe } from "./api.js";
import { useEffect, useRef, useState } from "./ui.js";

/** A value that is watched. @template T */
export class Cell {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<() => void>} */
    this.watchers = new Set();
  }
  /** @param {T} value */
  set(value) {
    this.value = value;
    for (const watcher of [...this.watchers]) watcher();
  }
}

/** @template T @param {Cell<T>} cell @returns {T} */
export function useCell(cell) {
  const [, draw] = useState(0);
  useEffect(() => {
    const watcher = () => draw((n) => n + 1);
    cell.watchers.add(watcher);
    return () => void cell.watchers.delete(watcher);
  }, [cell]);
  return cell.value;
}

/** The agent's status, and why it is not known. */
export const status = new Cell(/** @type {{data: any, error: ApiError|null, at: number}} */ ({ data: null, error: null, at: 0 }));

/** The caller, as the agent knows them: user, privileges, address. */
export const caller = new Cell(/** @type {any} */ (null));

/** The change that is looked at in the dialog. */
export const proposal = new Cell(/** @type {any} */ (null));

/** Notices at the edge of the page. */
export const notices = new Cell(/** @type {{id: number, kind: string, text: string}[]} */ ([]));

let noticed = 0;

/** @param {string} text @param {"good"|"bad"|"plain"} [kind] */
export function notify(text, kind = "plain") {
  const id = ++noticed;
  notices.set([...notices.value.slice(-3), { id, kind, text }]);
  setTimeout(() => dismiss(id), kind === "bad" ? 12000 : 6000);
}

/** @param {number} id */
export function dismiss(id) {
  notices.set(notices.value.filter((notice) => notice.id !== id));
}

/** Reads the status now. @param {boolean} [unasked] */
export async function refresh(unasked = false) {
  try {
    const data = await get(["status"], {}, { unasked });
    status.set({ data, error: null, at: Date.now() });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    status.set({ data: status.value.data, error, at: Date.now() });
  }
}

export async function readCaller() {
  caller.set(await maybe(["caller"]));
}

/** Keeps the status fresh as long as the page is seen. */
export function watch() {
  setInterval(() => {
    if (document.visibilityState === "visible") void refresh(true);
  }, 3000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void refresh(true);
  });
}

/** The revision of the desired state: pages read again when it changes. */
export function useRevision() {
  return useCell(status).data?.agent?.revision ?? 0;
}

/** @param {string} privilege */
export function useMay(privilege) {
  const known = useCell(caller);
  if (!known) return true;
  return known.privileges.includes("admin") || known.privileges.includes(privilege);
}

/**
 * Reads again what could not be read since console or agent did not answer, when they do again.
 * @param {Error|null} error @param {() => void} again
 */
export function useRecovery(error, again) {
  const lost = useRef(/** @type {() => void} */ (() => {}));
  lost.current = error instanceof ApiError && [0, 502, 503].includes(error.status) ? again : () => {};
  useEffect(() => {
    const watcher = () => { if (!status.value.error) lost.current(); };
    status.watchers.add(watcher);
    return () => void status.watchers.delete(watcher);
  }, []);
}

/**
 * Something that is read, and read again when `deps` change or so many milliseconds passed. What was
 * read stays while it is read again.
 * @template T @param {(signal: AbortSignal, unasked: boolean) => Promise<T>} read
 * @param {unknown[]} deps @param {number} [every]
 * @returns {{data: T|null, error: Error|null, reload: () => void}}
 */
export function useRead(read, deps, every) {
  const [state, set] = useState(/** @type {{data: T|null, error: Error|null}} */ ({ data: null, error: null }));
  const [round, again] = useState(0);
  const last = useRef(/** @type {AbortController|null} */ (null));
  const rounds = useRef(0);
  useRecovery(state.error, () => again((n) => n + 1));
  useEffect(() => {
    const control = new AbortController();
    last.current?.abort();
    last.current = control;
    const unasked = rounds.current++ > 0;
    read(control.signal, unasked).then(
      (data) => { if (!control.signal.aborted) set({ data, error: null }); },
      (error) => { if (!control.signal.aborted) set((before) => ({ data: before.data, error })); },
    );
    return () => control.abort();
  }, [...deps, round]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") again((n) => n + 1);
    }, every);
    return () => clearInterval(timer);
  }, [every]);
  return { ...state, reload: () => again((n) => n + 1) };
}

/** Draws again each second. */
export function useSeconds() {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
