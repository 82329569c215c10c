// @ts-check
// The policy file: the whole desired state as a text, saved and applied.
import { about, changing, get, save } from "../api.js";
import { propose } from "../change.js";
import { Dialog, Failure, Field } from "../parts.js";
import { notify } from "../store.js";
import { html, useState } from "../ui.js";

/** Saves the desired state, or that of a revision, as a policy file. @param {number} [revision] */
export async function saveState(revision) {
  try {
    save(revision ? `policy-${revision}.toml` : "policy.toml", await get(["export"], { revision }));
  } catch (error) {
    notify(error.message, "bad");
  }
}

/** Save the state; apply a file with the list files that it names. */
export function PolicyFile({ close }) {
  const [text, setText] = useState("");
  const [name, setName] = useState("policy.toml");
  const [lists, setLists] = useState(/** @type {{name: string, text: string}[]} */ ([]));
  const [others, setOthers] = useState(false);
  const [error, setError] = useState(/** @type {Error|null} */ (null));
  const take = async (files) => {
    try {
      const read = await Promise.all([...files].map(async (file) => ({ name: file.name, text: await file.text() })));
      const file = read.find((one) => one.name.endsWith(".toml"));
      if (file) { setName(file.name); setText(file.text); }
      setLists([...lists, ...read.filter((one) => one !== file)]);
      setError(null);
    } catch (failure) {
      setError(failure);
    }
  };
  const submit = (event) => {
    event.preventDefault();
    const change = { change: "apply", file: { name, text }, lists: lists.filter((list) => text.includes(list.name)), keep_others: others };
    propose({ title: `Apply ${name}`, ...changing(change), done: close });
  };
  return html`<${Dialog} title="Policy file" onClose=${close} wide><form class="form" onSubmit=${submit}>
    <div class="row"><button type="button" onClick=${() => saveState()}>Save the present state as a file</button></div>
    <${Failure} error=${error} />
    <${Field} label="Policy file to apply" hint="TOML: the whole desired state. Drop it here together with the list files that it names, or paste it.">${(id, hint) => html`<textarea id=${id} aria-describedby=${hint} class="addresses" rows="10" value=${text} spellcheck="false" autocomplete="off"
      placeholder=${'[[policy]]\nname = "office"\nallow = ["203.0.113.0/24"]'} onInput=${(event) => setText(event.currentTarget.value)}
      onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => { if (event.dataTransfer?.files.length) { event.preventDefault(); void take(event.dataTransfer.files); } }}></textarea>`}<//>
    <${Field} label="Or choose files">${(id) => html`<input id=${id} type="file" multiple accept=".toml,.txt,text/plain" onChange=${(event) => take(event.currentTarget.files ?? [])} />`}<//>
    ${lists.length > 0 && html`<p class="hint">List files: ${lists.map((list) => list.name).join(", ")}</p>`}
    <label class="check"><input type="checkbox" checked=${others} onChange=${(event) => setOthers(event.currentTarget.checked)} /><span>Leave what the file does not name as it is, instead of removing it</span></label>
    <p class="form-foot"><button type="button" onClick=${close}>Cancel</button><button type="submit" class="primary" disabled=${!text.trim()} title=${about?.read_only ? "Read-only: its effect is shown alone" : undefined}>Review</button></p></form><//>`;
}
