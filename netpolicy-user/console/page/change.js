// @ts-check
// The one dialog that every change goes through: what it does is shown before it is made.
import { about, call, get, own } from "./api.js";
import { ago, count, effectSentence, exact, number, opensSentence } from "./format.js";
import { Icon } from "./icons.js";
import { Dialog, Failure, sentence } from "./parts.js";
import { caller, notify, proposal, refresh, status, useCell } from "./store.js";
import { html, useEffect, useState } from "./ui.js";

/** Within how many seconds an unconfirmed change is to be confirmed; a minute unless chosen. */
const WITHIN = [[30, "30 s"], [60, "60 s"], [300, "5 min"], [900, "15 min"]];

const REFUSED = "this would be refused: ";

/** The person's last change: the revision that it was made at, and the one that it made. */
let made = /** @type {{base: number|null, revision: number}|null} */ (null);

/**
 * A change: `send` makes it as the query says, at a revision; `lint` finds its likely mistakes.
 * @typedef {{title: string, send: (query: any, revision: number|null) => Promise<{data: import("./api.js").Changed}>,
 *   lint?: () => Promise<{introduced: import("./api.js").Finding[], kept: import("./api.js").Finding[], resolved: import("./api.js").Finding[]}>,
 *   revision?: number|null, done?: (changed: import("./api.js").Changed) => void}} Proposal
 */

/** Opens the dialog. @param {Proposal} change */
export function propose(change) {
  let revision = change.revision ?? status.value.data?.agent?.revision ?? null;
  // The page may not have read again yet what the person themselves just made of it.
  if (made && revision === made.base) revision = made.revision;
  proposal.set({ ...change, revision });
}

export function ChangeDialog() {
  const change = useCell(proposal);
  return change && html`<${Proposed} key=${change.title} change=${change} />`;
}

function Proposed({ change }) {
  const [revision, setRevision] = useState(change.revision);
  const [plan, setPlan] = useState(/** @type {import("./api.js").Changed|null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [consent, setConsent] = useState(false);
  const [force, setForce] = useState(false);
  const [cut, setCut] = useState(false);
  const [override, setOverride] = useState(false);
  const [within, setWithin] = useState(60);
  const [busy, setBusy] = useState(false);
  const close = () => proposal.set(null);
  const how = { existing: cut ? "cut" : undefined, local_override: override || undefined };

  useEffect(() => {
    let gone = false;
    setPlan(null);
    setError(null);
    // They were given for what was shown before.
    setConsent(false);
    setForce(false);
    change.send({ dry_run: true, ...how }, revision).then(
      ({ data }) => { if (!gone) setPlan(data); },
      (failure) => { if (!gone) setError(failure); },
    );
    return () => { gone = true; };
  }, [revision, cut, override]);

  const refused = (plan?.warnings ?? []).filter((warning) => warning.startsWith(REFUSED)).map((warning) => warning.slice(REFUSED.length));
  // What the host's fleet decides is overridden here, not forced.
  const ofFleet = refused.filter((text) => /^fleet \S+ decides /.test(text));
  const refusals = refused.filter((text) => !ofFleet.includes(text));
  // What it opens is said with the box for consent.
  const warnings = (plan?.warnings ?? []).filter((warning) => !warning.startsWith(REFUSED) && !(plan?.opens && warning.startsWith("this opens ")));
  const nothing = plan && plan.plan.length === 0 && !cut;
  const ready = plan && !nothing && !busy && !about?.read_only && (!plan.opens || consent) && (!refusals.length || force) && !ofFleet.length;

  const inWords = WITHIN.find(([seconds]) => seconds === within)?.[1];

  const apply = async (/** @type {number|undefined} */ within) => {
    setBusy(true);
    setError(null);
    try {
      const { data } = await change.send({
        ...how, confirm_within: within, opens: consent ? plan?.opens?.key : undefined, force: (refusals.length > 0 && force) || undefined,
      }, revision);
      made = { base: revision, revision: data.revision };
      await refresh();
      close();
      notify(within && data.pending
        ? `Revision ${data.revision} is in force. Confirm it, or it is rolled back.`
        : `Revision ${data.revision} is in force.`, "good");
      change.done?.(data);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };

  const foot = html`
    <button type="button" onClick=${close} disabled=${busy}>Cancel</button>
    <span class="spring"></span>
    ${about?.read_only && html`<span class="hint">Read-only: nothing can be applied.</span>`}
    <select class="within" aria-label="Time to confirm" title="Time to confirm" value=${within} disabled=${!ready} onChange=${(event) => setWithin(Number(event.currentTarget.value))}>${WITHIN.map(([seconds, words]) => html`<option value=${seconds}>${words}</option>`)}</select>
    <button type="button" disabled=${!ready || (refusals.length > 0 && force)} onClick=${() => apply(undefined)}
      title=${force ? "A forced change is made only with a rollback in case it cuts you off" : undefined}>Apply</button>
    <button type="button" class="primary" disabled=${!ready} onClick=${() => apply(within)}>Apply and confirm within ${inWords}</button>`;

  return html`<${Dialog} title=${change.title} onClose=${close} foot=${foot} wide busy=${busy}>
    <div aria-live="polite">
    ${!plan && !error && html`<p class="faint">Asking the agent what this would do…</p>`}
    ${error && html`<${Refused} error=${error} revision=${revision} again=${setRevision} />`}
    ${nothing && html`<p class="panel">Nothing to change: the state is this already.</p>`}
    ${plan && !nothing && html`<${Plan} plan=${plan} />`}
    ${ofFleet.map((text) => html`<div class="panel warn"><p><${Icon} name="warn" /> ${sentence(text)}</p></div>`)}
    ${(ofFleet.length > 0 || override) && html`<label class="check"><input type="checkbox" checked=${override} onChange=${(event) => setOverride(event.currentTarget.checked)} />
      <span>Make it on this host alone, until the fleet's next revision (local override)</span></label>`}
    ${refusals.map((text) => html`<div class="panel bad" role="alert"><p><strong><${Icon} name="warn" /> ${sentence(text)}</strong></p></div>`)}
    ${plan && refusals.length > 0 && html`<label class="check"><input type="checkbox" checked=${force} onChange=${(event) => setForce(event.currentTarget.checked)} />
      <span>Apply it anyway (force). It is rolled back after ${inWords} unless you confirm it.</span></label>`}
    ${warnings.map((text) => html`<p class="panel warn"><${Icon} name="warn" /> ${sentence(text)}</p>`)}
    ${plan?.opens && html`<div class="panel warn"><p><strong>This ${opensSentence(plan.opens)}.</strong></p>
      <label class="check"><input type="checkbox" checked=${consent} onChange=${(event) => setConsent(event.currentTarget.checked)} />
        <span>I consent to exactly that</span></label></div>`}
    ${plan && !nothing && html`<${Operator} plan=${plan} />`}
    ${plan && !nothing && html`<${Lint} change=${change} revision=${revision} />`}
    </div>
    ${plan && !nothing && (plan.clients?.denied?.length ?? 0) > 0 && html`<label class="check"><input type="checkbox" checked=${cut} onChange=${(event) => setCut(event.currentTarget.checked)} />
      <span>Close the open connections of clients that it denies</span></label>`}
  <//>`;
}

/** What the change does. */
export function Plan({ plan }) {
  return html`
    <h3>Plan</h3>
    <div class="plan">${plan.plan.map((item) => html`<div class=${`plan-item ${item.action}`}>
      <p><span class="sign" aria-hidden="true">${{ add: "+", change: "~", remove: "−" }[item.action]}</span>
        <span class="hidden">${item.action}</span> ${item.subject}</p>
      ${item.details.length > 0 && html`<ul>${item.details.map((detail) => html`<li>${detail}</li>`)}</ul>`}
    </div>`)}</div>
    <h3>Effect</h3>
    ${plan.effects?.length
      ? html`<ul class="effects">${plan.effects.map((effect) => html`<li class=${effect.becomes}>${sentence(effectSentence(effect))}.</li>`)}</ul>`
      : html`<p class="faint">No source gets another verdict.</p>`}
    ${plan.clients && html`<${Clients} clients=${plan.clients} />`}
    ${plan.seen && html`<${Seen} seen=${plan.seen} />`}`;
}

function Clients({ clients }) {
  const sources = new Set(clients.denied.map((client) => client.source)).size;
  if (!clients.connected && !sources) return html`<p class="faint">No client is connected to the ports that it covers.</p>`;
  return html`<p class=${sources ? "bad-text" : ""}>Would deny ${sources} of ${count(clients.connected, "connected client")}${sources ? ":" : "."}</p>
    ${sources > 0 && html`<ul class="clients">${clients.denied.slice(0, 20).map((client) => html`<li><code>${client.source}</code> on ${client.scope}, ${count(client.connections, "connection")}</li>`)}
      ${clients.denied.length > 20 && html`<li>and ${clients.denied.length - 20} more</li>`}</ul>`}
    ${clients.existing === "cut" && html`<p>Closes ${count(clients.closed, "open connection")}.</p>`}`;
}

/** What becomes of sources that are remembered. */
function Seen({ seen }) {
  const denied = seen.sources.filter((source) => source.becomes === "denied");
  return html`<p class=${seen.denied ? "bad-text" : "faint"}>Of ${count(seen.judged, "source")} seen since ${exact(seen.remembered_since ?? seen.since)}, it would newly deny ${number(seen.denied)} that got in, and let in ${number(seen.allowed)} that ${seen.allowed === 1 ? "was" : "were"} denied${denied.length ? ":" : "."}</p>
    ${denied.length > 0 && html`<ul class="clients">${denied.slice(0, 10).map((source) => html`<li><code>${source.source}</code> on ${source.scope}, ${count(source.attempts, "attempt")}, last ${ago(source.last_seen)}</li>`)}
      ${seen.denied > 10 && html`<li>and ${number(seen.denied - Math.min(10, denied.length))} more</li>`}</ul>`}`;
}

/** Which address was judged as the person's own. */
function Operator({ plan }) {
  const known = useCell(caller);
  const operator = plan.operator ?? known?.operator;
  if (!operator) return null;
  return html`<p class="hint judged"><${Icon} name=${operator.address ? "check" : "warn"} /> ${operator.address
    ? html`Checked against your own address <code>${operator.address}</code>${operator.also && html` and <code>${operator.also}</code>`} (${operator.known_by}).`
    : html`Not checked against an address of yours: ${operator.known_by} has none. Name one under "My address" to have it checked.`}</p>`;
}

/** Likely mistakes that the change makes, leaves and resolves: the agent's lint of its plan. */
function Lint({ change, revision }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let gone = false;
    setFound(null);
    change.lint?.().then((difference) => { if (!gone) setFound(difference); }, () => {});
    return () => { gone = true; };
  }, [revision]);
  if (!found) return null;
  const wrong = found.introduced.filter((finding) => finding.severity !== "note");
  const notes = found.introduced.filter((finding) => finding.severity === "note");
  const kept = found.kept.filter((finding) => finding.severity !== "note");
  return html`
    ${wrong.length > 0 && html`<div class="panel warn" role="note" aria-label="Likely mistakes of this change"><p><strong><${Icon} name="warn" /> ${count(wrong.length, "likely mistake")} in this change</strong></p><${Findings} findings=${wrong} /></div>`}
    ${notes.length > 0 && html`<div class="panel" role="note" aria-label="Notes on this change"><${Findings} findings=${notes} /></div>`}
    ${found.resolved.length > 0 && html`<p class="hint good-text">It resolves ${count(found.resolved.length, "finding")} of lint.</p>`}
    ${kept.length > 0 && html`<details><summary>${count(kept.length, "likely mistake")} in the policies that it leaves</summary><${Findings} findings=${kept} /></details>`}`;
}

/** Findings of lint, a line each. */
export function Findings({ findings, most = 10 }) {
  return html`<ul class="findings">${findings.slice(0, most).map((finding) => html`<li>${finding.policies.length > 0 && html`<strong>${finding.policies.join(", ")}:</strong> `}${sentence(finding.message)}${finding.more > 0 && html` <span class="faint">And ${number(finding.more)} more like it.</span>`}</li>`)}
    ${findings.length > most && html`<li>and ${number(findings.length - most)} more</li>`}</ul>`;
}

/** The dialog of a rollback to a revision. @param {number} revision @param {{from?: number, done?: () => void}} [how] */
export function proposeRollback(revision, how = {}) {
  propose({
    title: `Roll back to revision ${revision}`, revision: how.from, done: how.done,
    lint: async () => ({ introduced: [], resolved: [], kept: await get(["lint"], { revision }) }),
    send: (query, at) => call("POST", ["rollback", String(revision)], { query: { ...query, from: own.get() || undefined }, revision: at }),
  });
}

/** Why it was refused; after another caller's change, what there is now. */
function Refused({ error, revision, again }) {
  const [latest, setLatest] = useState(/** @type {any} */ (null));
  const moved = error.code === "revision-mismatch";
  useEffect(() => {
    if (moved) get(["revisions"], { limit: 1 }).then((page) => setLatest(page.items[0] ?? null), () => {});
  }, [error]);
  if (!moved) return html`<${Failure} error=${error} />`;
  const now = error.problem.revision ?? latest?.revision;
  return html`<div class="panel warn" role="alert">
    <p><strong>The state changed in the meantime.</strong> You looked at revision ${revision}; it is at ${now} now.
      ${latest && html` ${latest.actor}: ${latest.action}.`}</p>
    <p>Nothing was changed. <button type="button" onClick=${() => again(now)}>Look what it would do at revision ${now}</button></p>
  </div>`;
}
