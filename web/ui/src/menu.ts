// SPDX-License-Identifier: Apache-2.0
// What opens below a button: a list to choose from, or a small form. Never a modal: Escape, a click
// elsewhere or leaving it with Tab closes it, and the page behind stays as it is.
import { signal } from "@preact/signals";
import { html } from "htm/preact";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const MARGIN = 8;

/** The one that is open, by id: one at a time. */
export const opened = signal<string | null>(null);
export const closeMenu = () => (opened.value = null);

const CARET = html`<span class="caret" aria-hidden="true">▾</span>`;

interface PopupProps {
  id: string;
  label: ComponentChildren;
  title: string; // of what opens
  children: ComponentChildren;
  className?: string;
  align?: "right";
  isPlain?: boolean; // without the mark of a list
}

export function Popup({ id, label, title, children, className = "", align, isPlain }: PopupProps) {
  const isOpen = opened.value === id;
  const button = useRef<HTMLButtonElement>(null), box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (!isOpen) return;
    const place = () => {
      const at = button.current!.getBoundingClientRect(), size = box.current!.getBoundingClientRect();
      const wide = document.documentElement.clientWidth;
      const left = align === "right" ? at.right - size.width : at.left;
      box.current!.style.left = Math.max(MARGIN, Math.min(left, wide - size.width - MARGIN)) + "px";
      box.current!.style.top = at.bottom + 4 + "px";
      box.current!.style.maxHeight = Math.max(160, innerHeight - at.bottom - 16) + "px";
    };
    place();
    const leave = (event: Event) => {
      if (!(event.target instanceof Node && (box.current?.contains(event.target) || button.current?.contains(event.target)))) closeMenu();
    };
    addEventListener("resize", place);
    addEventListener("scroll", place, true);
    document.addEventListener("pointerdown", leave, true);
    document.addEventListener("focusin", leave);
    box.current!.querySelector<HTMLElement>("[autofocus],input,select,button,a")?.focus();
    return () => {
      removeEventListener("resize", place);
      removeEventListener("scroll", place, true);
      document.removeEventListener("pointerdown", leave, true);
      document.removeEventListener("focusin", leave);
    };
  }, [isOpen]);
  const key = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    event.preventDefault();
    closeMenu();
    button.current?.focus();
  };
  const closed = (event: KeyboardEvent) => {
    if (event.key !== "ArrowDown" || isOpen) return;
    event.preventDefault();
    opened.value = id;
  };
  return html`<span class="menu"><button class=${"btn " + className} type="button" id=${id} ref=${button} aria-haspopup="dialog" aria-expanded=${isOpen}
      onKeyDown=${closed} onClick=${() => (opened.value = isOpen ? null : id)}>${label}${!isPlain && CARET}</button>
    ${isOpen && html`<div class="pop" role="dialog" tabindex="-1" aria-label=${title} ref=${box} onKeyDown=${key}>${children}</div>`}</span>`;
}

/** A list of things to do or to go to, in a popup: arrows move, Enter does. */
export function Actions({ children }: { children: ComponentChildren }) {
  const key = (event: KeyboardEvent) => {
    const all = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("a,button")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, to))]?.focus();
  };
  return html`<div class="actions" onKeyDown=${key}>${children}</div>`;
}

export function Action({ onDo, children }: { onDo: () => void; children: ComponentChildren }) {
  return html`<button type="button" onClick=${() => { closeMenu(); onDo(); }}>${children}</button>`;
}

export interface Option {
  value: string;
  words: string;
  note?: string; // beside it, fainter
  number?: string; // at the right
}

interface ChooserProps {
  id: string;
  name: string; // of what is chosen
  options: Option[];
  chosen: string | null;
  any?: string; // words of the choice of none
  placeholder?: string;
  isWaiting?: boolean;
  empty?: string;
  onSearch?: (text: string) => void; // the options come from elsewhere; without it they are searched here
  onChoose: (value: string | null) => void;
  isField?: boolean; // stays open, a text of one's own may be chosen
}

/** A text field over a list of what fits to it. */
export function Chooser(props: ChooserProps) {
  const { id, name, chosen, any, onSearch, onChoose } = props;
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const wanted = text.trim().toLowerCase();
  const fitting = onSearch || !wanted ? props.options
    : props.options.filter((one) => `${one.words} ${one.note ?? ""}`.toLowerCase().includes(wanted));
  const shown: (Option | null)[] = any && !wanted ? [null, ...fitting] : fitting;
  const place = Math.min(at, shown.length - 1);
  useEffect(() => list.current?.querySelector("[data-at]")?.scrollIntoView({ block: "nearest" }), [place, shown.length]);
  const choose = (one: Option | null) => {
    closeMenu();
    document.getElementById(id)?.focus();
    onChoose(one?.value ?? null);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") setAt(Math.max(0, Math.min(shown.length - 1, place + (event.key === "ArrowDown" ? 1 : -1))));
    else if (event.key === "Enter" && shown.length > 0) choose(shown[Math.max(0, place)]);
    else return;
    event.preventDefault();
  };
  const type = (event: InputEvent) => {
    const value = (event.target as HTMLInputElement).value;
    setText(value);
    setAt(0);
    onSearch?.(value);
  };
  return html`<div class="chooser">
    <input class="text" type="text" role="combobox" aria-label=${props.placeholder ?? `Find a ${name}`} placeholder=${props.placeholder ?? `Find a ${name}`}
      aria-expanded="true" aria-autocomplete="list" aria-controls=${id + "-list"} spellcheck=${false} autocomplete="off" value=${text} onInput=${type} onKeyDown=${key}
      aria-activedescendant=${shown.length > 0 ? `${id}-${place}` : undefined} />
    <ul role="listbox" aria-label=${name} id=${id + "-list"} ref=${list}>
      ${shown.map((one, i) => html`<li role="option" id=${`${id}-${i}`} key=${one ? one.value : "\0any"} aria-selected=${(one?.value ?? null) === chosen}
          data-at=${i === place ? "" : undefined} onClick=${() => choose(one)}>
        <span class="name">${one ? one.words : any}</span>${one?.note && html`<span class="note-s">${one.note}</span>`}
        ${one?.number && html`<span class="number">${one.number}</span>`}</li>`)}
    </ul>
    ${shown.length === 0 && html`<p class="none" role="status">${props.isWaiting ? "Searching" : props.empty ?? `No ${name} fits`}</p>`}
  </div>`;
}
