/* The command palette and the bell. Loaded with `defer` on every page of the panel; without it the top bar has a box
   that searches customers and a link to the notifications.

   [data-palette]   opens dialog#palette: data-url answers ?term=... with the options of its listbox; data-person keeps
                    the recent places of each person apart in the browser's store (safe to lose, forgotten at sign-out)
   [data-notices]   a details: filled from this address when it is opened; what was shown then counts as seen */
(function () {
  "use strict";
  var doc = document, dialog = doc.getElementById("palette");
  if (!dialog || !dialog.showModal) return;
  var input = doc.getElementById("palette-in"), list = doc.getElementById("palette-list"), said = dialog.querySelector("[data-said]"), told = dialog.querySelector("[data-told]");
  var words = (doc.getElementById("words") || { dataset: {} }).dataset, KEY = "bursar-recent-" + dialog.dataset.person, MOST = 20, SHOWN = 6;
  if (/Mac|iPhone|iPad/.test(navigator.platform)) doc.querySelectorAll("[data-mod]").forEach(function (k) { k.textContent = "⌘"; });
  function fragment(url, signal) {
    return fetch(url, { headers: { "X-Fragment": "1" }, credentials: "same-origin", signal: signal }).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.text(); });
  }

  /* ---- Recent places ---------------------------------------------------------------------------------------------- */
  function recent() {
    try {
      return (JSON.parse(localStorage.getItem(KEY)) || []).filter(function (p) { return p && typeof p.url === "string" && /^\/admin\/\w+\/(list|details\/\d+)$/.test(p.url) && typeof p.label === "string"; });
    } catch (e) { return []; }
  }
  (function remember() {
    var here = location.pathname, title = doc.querySelector("main h1"), current = doc.querySelector(".nav [aria-current] .icon use"), menu = doc.querySelector(".nav [aria-current] .cut");
    if (!title || !current || !/^\/admin\/\w+\/(list|details\/\d+)$/.test(here)) return;
    var label = title.textContent.trim(), noun = menu ? menu.textContent.trim() : "";
    var place = { url: here, label: label, hint: noun === label ? "" : noun, icon: current.getAttribute("href").split("#")[1] };
    try { localStorage.setItem(KEY, JSON.stringify([place].concat(recent().filter(function (p) { return p.url !== here; })).slice(0, MOST))); } catch (e) { /* then none are kept */ }
  })();
  doc.addEventListener("submit", function (event) {
    if (event.target.hasAttribute("data-forget")) try { localStorage.removeItem(KEY); } catch (e) { /* nothing was kept */ }
  });
  function recents() {
    var places = recent().filter(function (p) { return p.url !== location.pathname; }).slice(0, SHOWN);
    if (!places.length) return null;
    var group = doc.createElement("div"), head = doc.createElement("p");
    group.setAttribute("role", "group"); group.setAttribute("aria-label", dialog.dataset.recent);
    head.className = "palette-h"; head.textContent = dialog.dataset.recent; head.setAttribute("aria-hidden", "true"); group.append(head);
    places.forEach(function (p, n) {
      var a = doc.createElement("a"), icon = dialog.querySelector(".palette-in .icon").cloneNode(true), text = doc.createElement("span"), name = doc.createElement("bdi"), use = icon.querySelector("use");
      a.className = "option"; a.id = "recent-" + n; a.href = p.url; a.tabIndex = -1; a.setAttribute("role", "option"); a.setAttribute("aria-selected", "false");
      use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#" + (/^[\w-]+$/.test(p.icon) ? p.icon : "list")));
      text.className = "grow cut"; name.textContent = p.label; text.append(name);
      if (p.hint) { var hint = doc.createElement("span"); hint.className = "faint"; hint.textContent = " " + p.hint; text.append(hint); }
      a.append(icon, text); group.append(a);
    });
    return group;
  }

  /* ---- The listbox ------------------------------------------------------------------------------------------------ */
  var asked = null, timer = 0, shown = null, begin = null, press = false;
  function options() { return Array.prototype.slice.call(list.querySelectorAll("[role=option]")); }
  function chosen() { return list.querySelector("[aria-selected=true]"); }
  function point(option) {
    options().forEach(function (o) { o.setAttribute("aria-selected", String(o === option)); });
    if (option) { input.setAttribute("aria-activedescendant", option.id); option.scrollIntoView({ block: "nearest" }); } else input.removeAttribute("aria-activedescendant");
  }
  function step(by) {
    var all = options(), at = all.indexOf(chosen()); if (!all.length) return;
    point(all[(at + by + all.length) % all.length]);
  }
  function mark(term) {
    var low = term.toLocaleLowerCase(); if (!low) return;
    list.querySelectorAll("[data-mark]").forEach(function (e) {
      var text = e.textContent, at = text.toLocaleLowerCase().indexOf(low); if (at < 0) return;
      var m = doc.createElement("mark"); m.textContent = text.slice(at, at + term.length); e.replaceChildren(text.slice(0, at), m, text.slice(at + term.length));
    });
  }
  function show(html, term) {
    list.innerHTML = html.trim(); told.hidden = true; list.removeAttribute("aria-busy"); shown = term;
    if (!term) { var places = recents(); if (places) list.prepend(places); }
    mark(term); var all = options(); input.setAttribute("aria-expanded", String(all.length > 0)); list.scrollTop = 0; point(all[0]);
    if (term) { said.textContent = (words.found || "").replace("{n}", all.length); if (!all.length) tell(words.nothing); }
    if (press) { press = false; if (all.length) all[0].click(); }
  }
  function tell(text) { told.textContent = said.textContent = text; told.hidden = false; }
  function look() {
    var term = input.value.trim(); clearTimeout(timer); if (asked) asked.abort();
    if (term === shown) { list.removeAttribute("aria-busy"); return; }
    if (!term && begin !== null) return show(begin, "");
    list.setAttribute("aria-busy", "true");
    timer = setTimeout(function () {
      var mine = asked = new AbortController();
      fragment(dialog.dataset.url + "?term=" + encodeURIComponent(term), mine.signal).then(function (html) {
        if (mine !== asked) return;
        if (!term) begin = html; show(html, term);
      }).catch(function () {
        if (mine !== asked || mine.signal.aborted) return;
        press = false; shown = null; list.removeAttribute("aria-busy"); list.replaceChildren(); input.setAttribute("aria-expanded", "false"); tell(words.failed);
      });
    }, term ? 90 : 0);
  }
  function open() {
    if (dialog.open) return input.select();
    doc.querySelectorAll("dialog[open]").forEach(function (d) { d.close(); });
    doc.querySelectorAll("details.menu[open]").forEach(function (d) { d.open = false; });
    input.value = ""; said.textContent = ""; shown = null; press = false; dialog.showModal();
    if (begin === null) { var places = recents(); list.replaceChildren.apply(list, places ? [places] : []); point(options()[0]); }
    look();
  }
  doc.addEventListener("click", function (event) {
    if (event.target.closest("[data-palette]")) open();
    else if (event.target === dialog) dialog.close();       // beside it
    else if (event.target.closest("#palette [role=option]") && !(event.ctrlKey || event.metaKey || event.shiftKey)) dialog.close();
  });
  doc.addEventListener("keydown", function (event) {
    var letter = /^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : event.code === "KeyK" ? "k" : "";   // also where the keys are Cyrillic
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && letter === "k") { event.preventDefault(); open(); }
  });
  input.addEventListener("input", function () { press = false; look(); });
  list.addEventListener("mousemove", function (event) { var o = event.target.closest("[role=option]"); if (o && o !== chosen()) point(o); });
  input.addEventListener("keydown", function (event) {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); step(event.key === "ArrowDown" ? 1 : -1); }
    else if (event.key === "Enter") {
      event.preventDefault();
      if (input.value.trim() !== shown) press = true;       // typed faster than it was found: the first, when it is there
      else if (chosen()) { if (event.ctrlKey || event.metaKey) window.open(chosen().href); else chosen().click(); }
    }
  });

  /* ---- The bell --------------------------------------------------------------------------------------------------- */
  doc.addEventListener("toggle", function (event) {
    var bell = event.target, url = bell.dataset && bell.dataset.notices; if (!url || !bell.open) return;
    var box = bell.querySelector(".pop");
    fragment(url).then(function (html) {
      box.innerHTML = html;
      var form = box.querySelector("form[data-seen]"); if (!form) return;
      form.hidden = true;
      fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "X-Fragment": "1" }, credentials: "same-origin" }).then(function (r) {
        if (!r.ok) throw new Error(r.status);
        var summary = bell.querySelector("summary"), n = summary.querySelector(".bell-n"); if (n) n.remove(); summary.querySelector("[data-said]").textContent = summary.dataset.quiet;
      }).catch(function () { form.hidden = false; });
    }).catch(function () { /* the link stays */ });
  }, true);
})();
