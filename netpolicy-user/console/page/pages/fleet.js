// @ts-check
// The fleet that the host is in: what of it is in force here, and what is wrong.
import { get } from "../api.js";
import { exact, span } from "../format.js";
import { Empty, Failure, Head, Loading, Pill, Time, sentence } from "../parts.js";
import { useRead, useRevision, useSeconds } from "../store.js";
import { html } from "../ui.js";

export default function Fleet() {
  const revision = useRevision();
  const read = useRead((signal, unasked) => get(["fleet"], {}, { signal, unasked }), [revision], 10000);
  const fleet = read.data;
  return html`<${Head} title="Fleet" help="hosts-in-a-fleet" sub=${html`Which revision of its fleet this host enforces. On a machine with an operator's key <code>netpolicy fleet status</code> shows roll-outs and the other hosts.`} />
    <${Failure} error=${read.error} /><${Loading} of=${read} />
    ${fleet && !fleet.fleet && html`<${Empty} title="This host is in no fleet."><p>An operator of a fleet adds it with <code>netpolicy fleet join</code>.</p></>`}
    ${fleet?.fleet && html`
      ${fleet.faults.length > 0 && html`<div class="panel bad" role="alert">${fleet.faults.map((fault) => html`<p>${sentence(fault)}</p>`)}</div>`}
      ${fleet.local_override && html`<p class="panel warn">Changes made on this host override the fleet's revision since ${exact(fleet.local_override)}. They hold until the fleet's next revision comes.</p>`}
      <section class="card" aria-label="Membership"><dl class="facts">
        <div><dt>Fleet</dt><dd>${fleet.fleet}</dd></div>
        <div><dt>This host</dt><dd>${fleet.host ?? "–"}</dd></div>
        <div><dt>Group</dt><dd>${fleet.group ?? "–"}</dd></div>
        <div><dt>State</dt><dd><${State} fleet=${fleet} /></dd></div></dl></section>
      <section class="card" aria-labelledby="in-force"><h2 id="in-force">In force</h2>
        ${fleet.at ? html`<dl class="facts">
          <div><dt>Revision of the fleet</dt><dd>${fleet.at.revision}</dd></div>
          <div><dt>Since</dt><dd><${Time} at=${fleet.since} /></dd></div>
          <div><dt>Confirmed</dt><dd>${fleet.confirmed ? "yes" : fleet.confirm_before ? html`<${Left} until=${fleet.confirm_before} />` : "no"}</dd></div></dl>`
        : html`<p class="faint">No revision of the fleet is in force here yet.</p>`}</section>`}`;
}

function State({ fleet }) {
  if (fleet.local_override) return html`<${Pill} kind="warn">overridden here</>`;
  if (fleet.faults.length) return html`<${Pill} kind="bad">at fault</>`;
  if (!fleet.at) return html`<${Pill} kind="warn">waits for a revision</>`;
  return fleet.confirmed ? html`<${Pill} kind="good">follows</>` : html`<${Pill} kind="warn">unconfirmed</>`;
}

/** What is left until a revision is rolled back. */
function Left({ until }) {
  const now = useSeconds();
  return html`no: rolled back in ${span((new Date(until).getTime() - now) / 1000)}`;
}
