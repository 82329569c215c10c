// @ts-check
// The agent's API, through the console. The types are those of the HTTP API reference.

/**
 * @typedef {{revision: number, generation: number, dry_run: boolean, changed?: boolean,
 *   plan: {action: "add"|"change"|"remove", subject: string, details: string[]}[],
 *   effects?: Effect[], clients?: Clients|null, opens?: Opens|null, operator?: Operator|null,
 *   pending?: Pending|null, warnings: string[], entries: number}} Changed
 * @typedef {{becomes: "denied"|"allowed", scope_name: string, ports?: string|null,
 *   sources: {kind: string, networks: string[], more: number, at_least: boolean, already: number}}} Effect
 * @typedef {{connected: number, closed: number, existing: string,
 *   denied: {source: string, scope: string, connections: number}[]}} Clients
 * @typedef {{key: string, openings: {scope: string, ports?: string|null, percent: number, sources: string}[],
 *   shrinks?: {list: string, before: number, after: number}[]}} Opens
 * @typedef {{address?: string|null, also?: string|null, known_by: string}} Operator
 * @typedef {{revision: number, base: number, deadline: string, actor: string}} Pending
 * @typedef {{name: string, active: boolean, bindings: string[], allow_count?: number|null,
 *   block_count: number, except_count?: number, allow_lists?: string[], block_lists?: string[],
 *   except_lists?: string[], comment?: string|null, owner: string, created: string, altered: string}} Policy
 * @typedef {{code: string, severity: "error"|"warning"|"note", policies: string[], message: string, more?: number}} Finding
 * @typedef {{status: number, code: string, errors: string[], hint?: string|null, opens?: Opens|null,
 *   revision?: number|null, results?: any[]}} Problem
 * @typedef {{query?: Record<string, string|number|boolean|undefined|null>, body?: unknown, lines?: unknown[],
 *   revision?: number|null, unasked?: boolean, signal?: AbortSignal}} Options
 */

const KEY = "netpolicy-session";

/** What the console says of itself: set when a session began. */
export let about = /** @type {{user: string, person: string|null, host: string, version: string, read_only: boolean}|null} */ (null);

/** A refusal or failure, with what the API says of it. */
export class ApiError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.errors.join("; ") || `status ${problem.status}`);
    this.problem = problem;
    this.code = problem.code;
    this.status = problem.status;
  }
}

/** @type {string|null} */
let secret = null;

/**
 * Begins a session: with the token of the URL, which is good once, or the secret that this tab has.
 */
export async function begin() {
  ended = false;
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  secret = sessionStorage.getItem(KEY);
  if (token) {
    // It stays neither in the address bar nor in the history.
    history.replaceState(null, "", location.pathname + "#/");
  }
  if (token || !secret) {
    try {
      return await beginWith(token);
    } catch (error) {
      // A reload of the URL that was opened first: the tab has its session already.
      if (!secret) throw error;
    }
  }
  about = await (await send("GET", "/session", {})).json();
  return about;
}

/** Exchanges a token, or what a reverse proxy says of the person, for a session. @param {string|null} token */
async function beginWith(token) {
  const begun = await (await sendOnce("POST", "/session", { body: { token } })).json();
  secret = begun.session;
  sessionStorage.setItem(KEY, begun.session);
  delete begun.session;
  about = begun;
  return about;
}

/** Whether the session ended, and no other can be had without another URL. */
let ended = false;

/** @type {Promise<boolean>|null} */
let beginning = null;

/** Another session in place of one that ended: behind a reverse proxy no token is needed. */
async function beginAgain() {
  if (ended) return false;
  secret = null;
  sessionStorage.removeItem(KEY);
  try {
    await beginWith(null);
    return true;
  } catch (error) {
    ended = error instanceof ApiError && error.status === 403;
    return false;
  }
}

/**
 * Sends a request; once more with another session if that of the tab ended.
 * @param {string} method @param {string} path @param {Options} options
 */
async function send(method, path, options) {
  const used = secret;
  try {
    return await sendOnce(method, path, options);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "no-session") throw error;
    if (secret === used) {
      beginning ??= beginAgain().finally(() => { beginning = null; });
    }
    if (beginning ? !(await beginning) : !secret) throw error;
    return sendOnce(method, path, options);
  }
}

/**
 * When the person last did something with the page. What the page reads later than a moment after
 * that, it reads by itself: it does not keep an idle console running.
 */
let acted = Date.now();
const ACTING = 5000;
for (const type of ["pointerdown", "keydown", "input", "click", "drop", "hashchange"]) {
  addEventListener(type, () => { acted = Date.now(); }, { capture: true, passive: true });
}

/** @param {string[]} path */
function pathOf(path) {
  return "/v1/" + path.map((segment) => encodeURIComponent(segment)).join("/");
}

/**
 * @param {string} method @param {string} path @param {Options} options
 * @returns {Promise<Response>}
 */
async function sendOnce(method, path, options) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined && value !== null && value !== "" && value !== false) {
      query.set(name, String(value));
    }
  }
  /** @type {Record<string, string>} */
  const headers = {};
  if (secret) headers["x-netpolicy-session"] = secret;
  if (options.unasked || Date.now() - acted > ACTING) headers["x-netpolicy-unasked"] = "1";
  if (options.revision !== undefined && options.revision !== null) headers["if-match"] = `"${options.revision}"`;
  let body;
  if (options.lines) {
    headers["content-type"] = "application/x-ndjson";
    body = options.lines.map((line) => JSON.stringify(line)).join("\n") + "\n";
  } else if (options.body !== undefined) {
    headers["content-type"] = "application/json";
    body = JSON.stringify(options.body);
  }
  let answer;
  try {
    answer = await fetch(query.size ? `${path}?${query}` : path, {
      method, headers, body, signal: options.signal, cache: "no-store", credentials: "omit", redirect: "error",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError({
      status: 0, code: "unreachable", errors: ["the console does not answer"],
      hint: "is `netpolicy console` still running, and the SSH connection up?",
    });
  }
  if (!answer.ok) throw new ApiError(await problemOf(answer));
  return answer;
}

/** @param {Response} answer @returns {Promise<Problem>} */
async function problemOf(answer) {
  try {
    const problem = await answer.json();
    // A script of SQL that failed has its failure in its own form.
    if (problem.results) return { status: answer.status, code: "sql", errors: problem.error?.errors ?? [], ...problem };
    return { status: answer.status, ...problem, errors: problem.errors ?? [problem.detail ?? answer.statusText] };
  } catch {
    return { status: answer.status, code: "unknown", errors: [answer.statusText || `status ${answer.status}`] };
  }
}

/**
 * The answer's JSON, and the revision that it was read at.
 * @param {string} method @param {string[]} path @param {Options} [options]
 * @returns {Promise<{data: any, revision: number|null}>}
 */
export async function call(method, path, options = {}) {
  const answer = await send(method, pathOf(path), options);
  const tag = answer.headers.get("etag");
  const media = answer.headers.get("content-type") ?? "";
  const text = await answer.text();
  const data = media.includes("ndjson")
    ? text.split("\n").filter(Boolean).map((line) => JSON.parse(line))
    : media.includes("json") ? JSON.parse(text) : text;
  return { data, revision: tag ? Number(tag.replaceAll('"', "")) : null };
}

/** @param {string[]} path @param {Options["query"]} [query] @param {Options} [options] */
export async function get(path, query, options = {}) {
  return (await call("GET", path, { ...options, query })).data;
}

/**
 * As `get`, and `null` where this agent has no such resource.
 * @param {string[]} path @param {Options["query"]} [query] @param {Options} [options]
 */
export async function maybe(path, query, options = {}) {
  try {
    return await get(path, query, options);
  } catch (error) {
    if (error instanceof ApiError && [404, 405].includes(error.status)) return null;
    throw error;
  }
}

/**
 * A list in any program's format, as a list file: read by the console, not by the agent.
 * @param {string} text
 * @returns {Promise<{format: string, entries: number, list: string, notes: string[], left_out: string[]}>}
 */
export async function readList(text) {
  return (await send("POST", "/list", { body: { text } })).json();
}

/**
 * What `netpolicy doctor` says of the host, examined by the console.
 * @param {AbortSignal} signal @param {boolean} unasked
 * @returns {Promise<{failures: number, warnings: number, lines: {check: string, health: "ok"|"warn"|"fail", found: string, advice?: string}[]}>}
 */
export async function examineHost(signal, unasked) {
  return (await send("GET", "/doctor", { signal, unasked })).json();
}

/** The address that the person says is theirs too: judged with that of SSH. */
export const own = {
  get() { return sessionStorage.getItem("netpolicy-from") ?? ""; },
  /** @param {string} address */
  set(address) { sessionStorage.setItem("netpolicy-from", address); },
};

/**
 * A change as the dialog of changes wants it: what sends it, and what finds its likely mistakes.
 * @param {object} change
 */
export function changing(change) {
  return {
    send: (/** @type {Options["query"]} */ query, /** @type {number|null} */ revision) =>
      call("POST", ["changes"], { query: { ...query, from: own.get() || undefined }, body: change, revision }),
    lint: async () => (await call("POST", ["lint"], { body: change })).data,
  };
}

/**
 * Saves a text as a file of the person's.
 * @param {string} name @param {string} text
 */
export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/**
 * Events as they happen: a stream of lines, since EventSource sends no headers.
 * @param {(event: any) => void} onEvent @param {AbortSignal} signal @param {() => void} onOpen
 */
export async function events(onEvent, signal, onOpen) {
  const answer = await send("GET", "/v1/events", { signal, unasked: true });
  onOpen();
  const body = /** @type {ReadableStream<any>} */ (answer.body);
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line) onEvent(JSON.parse(line));
  }
}
