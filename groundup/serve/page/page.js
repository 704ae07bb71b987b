// What the browser does by itself: a floating note at the token under the pointer, attention of a head, small moves.
"use strict";
window.groundup = (() => {
  const note = () => {
    let made = document.getElementById("note");
    if (!made) {
      made = Object.assign(document.createElement("div"), { id: "note", hidden: true });
      made.setAttribute("role", "tooltip");
      document.body.append(made);
    }
    return made;
  };
  const line = (left, right, share) => {
    const row = document.createElement("p");
    row.style.setProperty("--w", share);
    row.append(Object.assign(document.createElement("span"), { textContent: left }));
    row.append(Object.assign(document.createElement("b"), { textContent: right }));
    return row;
  };
  const show = (token) => {
    const told = JSON.parse(token.dataset.place);
    const made = note();
    const head = document.createElement("h4");
    head.textContent = told.token;
    const about = document.createElement("small");
    about.textContent = `${told.bits} bits, place ${told.rank} of what was expected; doubt ${told.entropy} bits`;
    made.replaceChildren(head, about, ...told.top.map(([name, p]) => line(name, `${(100 * p).toFixed(1)} %`, p)));
    made.hidden = false;
    const at = token.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left), innerWidth - made.offsetWidth - 8);
    const below = at.bottom + made.offsetHeight + 12 < innerHeight;
    made.style.left = `${left}px`;
    made.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - made.offsetHeight - 6)}px`;
    token.setAttribute("aria-describedby", "note");
  };
  const hide = () => { note().hidden = true; };
  const shade = (token) => {
    const box = token.closest(".heads");
    const n = +box.dataset.n;
    if (box.maps === undefined) box.maps = Uint8Array.from(atob(box.dataset.maps), (letter) => letter.charCodeAt(0));
    const head = +(box.querySelector('.head[aria-pressed="true"]')?.dataset.head ?? 0);
    const query = +token.dataset.at;
    const start = (head * n + query) * n;
    box.querySelectorAll("[data-at]").forEach((other) => {
      const at = +other.dataset.at;
      other.style.setProperty("--w", at <= query ? box.maps[start + at] / 255 : 0);
      other.classList.toggle("asks", at === query);
    });
    box.last = token;
  };
  const over = (event) => {
    const token = event.target.closest?.(".tok");
    if (token?.dataset.place) show(token); else hide();
    if (token?.dataset.at) shade(token);
  };
  document.addEventListener("mouseover", over);
  document.addEventListener("focusin", over);
  document.addEventListener("scroll", hide, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("click", (event) => {
    const head = event.target.closest?.(".head");
    if (!head) return;
    const box = head.closest(".heads");
    box.querySelectorAll(".head").forEach((other) => other.setAttribute("aria-pressed", String(other === head)));
    if (box.last) shade(box.last);
  });
  // A talk that is read at its end stays there while the reply grows.
  const ends = new WeakMap();
  const atEnd = (talk) => talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
  document.addEventListener("scroll", (event) => {
    if (event.target.classList?.contains("talk")) ends.set(event.target, atEnd(event.target));
  }, true);
  new MutationObserver((changes) => {
    const talks = new Set(changes.map(({ target }) => (target.closest ? target : target.parentElement)?.closest(".talk")));
    talks.delete(null);
    talks.delete(undefined);
    talks.forEach((talk) => { if (ends.get(talk) ?? true) talk.scrollTop = talk.scrollHeight; });
  }).observe(document, { subtree: true, childList: true, characterData: true });
  return {
    place: (tab, run) => history.replaceState(null, "", `?${new URLSearchParams({ tab, run })}`),
    follow: () => document.querySelectorAll(".talk").forEach((talk) => talk.scrollTo(0, talk.scrollHeight)),
    reveal: (selector) => {
      const found = document.querySelector(selector);
      found?.scrollIntoView({ behavior: "smooth", block: "start" });
      found?.querySelector("h3")?.focus({ preventScroll: true });
    },
  };
})();
