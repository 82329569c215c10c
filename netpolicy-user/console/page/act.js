// @ts-check
// What can be done about a source, wherever it is shown.
import { call, changing, get, own } from "./api.js";
import { propose } from "./change.js";
import { Field, sentence } from "./parts.js";
import { notify, useRead } from "./store.js";
import { html, useState } from "./ui.js";

/**
 * Ban, exempt, or allow a source that arrives in a scope; `service` is its service, null for the host.
 * @param {{source: string, scope: string, service: string|null, done: () => void}} props
 */
export function Act({ source, scope, service, done }) {
  const [minutes, setMinutes] = useState("30");
  const policies = useRead((signal) => get(["policies"], {}, { signal }), []);
  const [policy, setPolicy] = useState("");
  // Those that govern where it arrives come first.
  const governs = (policy) => Number(policy.active && policy.bindings.includes(scope));
  const candidates = (policies.data ?? []).filter((policy) => policy.allow_count !== null && policy.allow_count !== undefined).sort((a, b) => governs(b) - governs(a));
  const chosen = policy || candidates[0]?.name;
  const run = async (work, text) => {
    try {
      const { data } = await work();
      const refused = Array.isArray(data) && data.find((line) => line.result === "refused");
      if (refused) notify(sentence(refused.detail), "bad");
      else notify(text, "good");
      done();
    } catch (error) {
      notify(sentence(error.message), "bad");
    }
  };
  const time = Number(minutes);
  return html`<div class="act">
    <${Field} label="For">${(id) => html`<select id=${id} value=${minutes} onChange=${(event) => setMinutes(event.currentTarget.value)}>
      <option value="30">30 minutes</option><option value="240">4 hours</option><option value="1440">a day</option><option value="10080">a week</option></select>`}<//>
    <button type="button" class="danger" onClick=${() => run(() => call("POST", ["bans"], { query: { from: own.get() }, lines: [{ source, for: time * 60, service, reason: "from the console" }] }), `${source} is banned.`)}>Ban</button>
    <button type="button" onClick=${() => run(() => call("POST", ["bypasses"], { body: { source, minutes: time, service } }), `${source} is exempt${service ? ` for ${service}` : ""}.`)}>Exempt (bypass)</button>
    ${candidates.length > 0 && html`<span class="act-allow"><label>Allow in <select value=${chosen} onChange=${(event) => setPolicy(event.currentTarget.value)}>${candidates.map((policy) => html`<option>${policy.name}</option>`)}</select></label>
      <button type="button" onClick=${() => propose({ title: `Allow ${source} in ${chosen}`, ...changing({ change: "alter-policy", name: chosen, allow: { edit: "edit", add: { items: [source] } } }), done })}>Allow</button></span>`}
    <p class="hint">Bans and bypasses are for ${scope === "host" || !service ? "the whole host" : `the service ${service}`} and end by themselves.</p>
  </div>`;
}
