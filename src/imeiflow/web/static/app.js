// What every page needs: the live stream, times in the viewer's own zone, the menu, light and dark.
"use strict";

(() => {
  const body = document.body;

  // --- live: the server says "changed", htmx fetches the fragments that listen for it -------------------------------
  const topics = () => (body.dataset.topics || "").split(" ").filter(Boolean);
  const POLL_MS = 4000;
  const FIRST_WORD_MS = 5000; // proxies may hold a stream back: it counts once something is heard of it
  const SILENCE_MS = 40000; // the server says every fifteen seconds that it is there
  let polling = null;
  let failures = 0;

  // What costs more to draw listens for `slowly:…`: at most every three seconds, and once after the last change.
  let slowMs = 3000; // or longer, where many pages are open: the server says how often it tells of changes
  const slow = new Map();
  const announceSlowly = (name) => {
    const known = slow.get(name) || { last: 0, timer: null };
    slow.set(name, known);
    if (known.timer !== null) return;
    known.timer = setTimeout(() => {
      known.timer = null;
      known.last = Date.now();
      htmx.trigger(body, `slowly:${name}`);
    }, Math.max(0, known.last + slowMs - Date.now()));
  };
  const announce = (names) => {
    for (const name of names) {
      htmx.trigger(body, `changed:${name}`);
      announceSlowly(name);
    }
  };
  const setOffline = (isOffline) => {
    document.getElementById("offline").hidden = !isOffline;
  };
  // A job's title is seen from another tab, too.
  const isUnseen = () => document.hidden && !document.querySelector("[data-standing]");
  const startPolling = () => {
    if (polling === null) polling = setInterval(() => isUnseen() || announce(topics()), POLL_MS);
  };
  const stopPolling = () => {
    clearInterval(polling);
    polling = null;
  };
  const listen = () => {
    const names = topics();
    if (!names.length || !window.EventSource) return startPolling();
    const query = names.map((name) => `topic=${encodeURIComponent(name)}`).join("&");
    const source = new EventSource(`/live?${query}`);
    let wasLost = false;
    let silence = setTimeout(startPolling, FIRST_WORD_MS);
    const hear = () => {
      clearTimeout(silence);
      silence = setTimeout(startPolling, SILENCE_MS);
      stopPolling();
      setOffline(false);
      failures = 0;
      if (wasLost) announce(names); // what was missed meanwhile
      wasLost = false;
    };
    source.addEventListener("here", hear);
    source.addEventListener("changed", (event) => {
      hear();
      announce(event.data.split(" "));
    });
    source.addEventListener("pace", (event) => (slowMs = Math.max(3000, 5 * Number(event.data))));
    source.addEventListener("error", () => {
      clearTimeout(silence);
      wasLost = true;
      startPolling();
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, Math.min(30000, 2000 * 2 ** failures++));
    });
    window.addEventListener("pagehide", () => source.close(), { once: true });
  };
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  // What a page asks by itself does not keep its session alive: only what a person does.
  body.addEventListener("htmx:configRequest", (event) => {
    if (!event.detail.triggeringEvent?.isTrusted) event.detail.headers["x-unattended"] = "1";
  });
  // What a person asked for and was not answered may have been done, or not: nobody here can know.
  const UNANSWERED = ["No answer came.", " Whether it was done is not known: when the connection is back, look before you do it again."];
  body.addEventListener("htmx:sendError", (event) => {
    setOffline(true);
    if (event.detail.requestConfig.verb === "get") return;
    const [strong, notice] = [document.createElement("strong"), document.createElement("div")];
    strong.textContent = UNANSWERED[0];
    notice.className = "notice notice-bad";
    notice.role = "alert";
    notice.append(strong, UNANSWERED[1]);
    const notices = document.getElementById("notices");
    notices.replaceChildren(notice);
    notices.scrollIntoView({ block: "nearest" });
  });
  body.addEventListener("htmx:afterOnLoad", () => setOffline(false));

  // What went wrong stands there no longer than it is so: until what the page asked by itself is answered again, or
  // until something else that a person asked for is done.
  let told = null; // whose request went wrong last
  body.addEventListener("htmx:afterRequest", (event) => {
    const { elt, failed, successful } = event.detail;
    const isByItself = /load|from:body|every /.test(elt.getAttribute("hx-trigger") || "");
    if (failed) told = elt;
    else if (successful && (elt === told || !isByItself)) document.getElementById("notices").replaceChildren();
  });

  // --- times: drawn by the server in UTC, shown in the viewer's own zone --------------------------------------------
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
  const exactClock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const showTimes = (root) => {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const isToday = at.toDateString() === new Date().toDateString();
      const [today, anyDay] = "exact" in element.dataset ? [exactClock, full] : [clock, short];
      const text = isToday ? `today, ${today.format(at)}` : anyDay.format(at);
      if (element.textContent !== text) element.textContent = text;
      const title = full.format(at);
      if (element.title !== title) element.title = title;
    }
  };

  // --- choosing rows: this page, or all that match ------------------------------------------------------------------
  body.addEventListener("change", (event) => {
    const box = event.target.closest("[data-select-all]");
    if (!box) return;
    for (const one of document.querySelectorAll(`[data-select="${box.dataset.selectAll}"]`)) one.checked = box.checked;
  });

  // --- the menu of narrow screens, light and dark, dialogs ----------------------------------------------------------
  const setTheme = () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme === "dark"
      || (root.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = isDark ? "light" : "dark";
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  const openMenu = (button, isOpen) => {
    button.setAttribute("aria-expanded", String(isOpen));
    document.getElementById("menu").classList.toggle("is-open", isOpen);
  };
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.querySelector("[data-menu][aria-expanded='true']");
    if (!menu) return;
    openMenu(menu, false);
    menu.focus();
  });
  document.addEventListener("click", (event) => {
    const menu = event.target.closest("[data-menu]");
    if (menu) openMenu(menu, menu.getAttribute("aria-expanded") !== "true");
    if (event.target.closest("[data-theme-toggle]")) setTheme();
    const closer = event.target.closest("[data-close]");
    if (closer) closer.closest("dialog").close();
  });

  // --- a form is sent once: a second click does nothing ---------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });

  body.addEventListener("htmx:afterSwap", () => showTimes(body)); // before anything is painted

  // --- what waits for a person, and how far a job is, stands in the window's title, too -----------------------------
  const readStanding = () => document.querySelector("[data-standing]")?.dataset.standing || "";
  const name = document.title.slice(readStanding().length); // it was drawn with the title
  let waiting = "";
  const showTitle = () => {
    const text = `${waiting}${readStanding()}${name}`;
    if (document.title !== text) document.title = text;
  };
  body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.matches(".badge-place")) {
      const badge = event.detail.target.querySelector("[data-badge]");
      waiting = badge ? `(${badge.dataset.badge}) ` : "";
    }
    showTitle();
  });
  // An answered question is closed once its answer is there: a form that is not filled in yet stays open.
  body.addEventListener("htmx:afterRequest", (event) => {
    const asked = event.detail.elt;
    if (asked.matches("dialog form[data-closes]")) asked.closest("dialog").close();
  });
  body.addEventListener("htmx:afterSettle", () => {
    for (const dialog of document.querySelectorAll("dialog[data-show]:not([open])")) {
      dialog.removeAttribute("data-show");
      dialog.showModal();
    }
  });
  showTimes(body);
  listen();
})();
