/* Lists: sorting, paging, filtering and searching replace only the parts of the page that change with its address.
   Without scripts the same links and forms load the whole page; the answer to the header X-Fragment holds the parts alone.

   data-part="name"           replaced by the part of the same name; "rows" has data-said, which is read out, and
                              data-search, what the list is searched for
   data-find                  the search box: searches while it is typed into, and at once by Enter
   #filter                    the drawer's form: [data-match] and [data-number] say how many rows would match
   data-density-to="compact"  the height of the rows; theme.js sets it on the next page before that is shown
   Arrow keys walk through an open row menu. */
(function () {
  "use strict";
  var doc = document, root = doc.documentElement, home = doc.querySelector("[data-part=rows]"); if (!home) return;
  var TYPED = 250, CHOSEN = 400, SLOW = 150;          // milliseconds until a search, a count, the skeleton
  var path = location.pathname, shown = address(location), asking = null, counting = null, timer = 0, countTimer = 0;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function each(selector, inside, work) { Array.prototype.forEach.call(inside.querySelectorAll(selector), work); }
  function on(type, handler, capture) { doc.addEventListener(type, handler, !!capture); }
  function address(url) { return url.pathname + url.search; }
  function words() { return one("#words").dataset; }
  function say(text) { var p = one("#announce"); p.textContent = ""; setTimeout(function () { p.textContent = text; }, 30); }

  /* ---- Another list in place of this one -------------------------------------------------------------------------- */
  function load(url, how) {             // how: {write: "push" | "replace" | undefined, typed, top, y}
    clearTimeout(timer); if (asking) asking.abort();
    var mine = asking = new AbortController(), slow = setTimeout(function () { home.setAttribute("aria-busy", "true"); }, SLOW);
    fetch(url, { headers: { "X-Fragment": "list" }, credentials: "same-origin", signal: mine.signal }).then(function (answer) {
      if (!answer.ok || answer.redirected) throw url;                  // signed out, or not a list any more: the whole page says it
      return answer.text();
    }).then(function (html) {
      var holder = doc.createElement("template"); holder.innerHTML = html;
      if (!one("[data-part=rows]", holder.content)) throw url;
      if (how.write === "push") history.replaceState(Object.assign({}, history.state, { y: scrollY }), "");
      if (how.write) history[how.write + "State"]({ typed: !!how.typed }, "", url);
      relink(shown, url); shown = url;
      put(holder.content); settle(how);
    }).catch(function (problem) {
      if (problem === url) location.assign(url);
      else if (problem.name !== "AbortError") doc.dispatchEvent(new CustomEvent("toast", { detail: { text: words().failed, kind: "bad" } }));
    }).finally(function () { clearTimeout(slow); if (asking === mine) { asking = null; home.removeAttribute("aria-busy"); } });
  }
  function put(fresh) {
    var back = place(doc.activeElement);
    each("[data-part]", doc, function (old) {
      var next = one("[data-part='" + old.dataset.part + "']", fresh); if (!next) return;
      if (old.matches("[popover]:popover-open")) old.hidePopover();
      Array.prototype.forEach.call(next.attributes, function (a) { old.setAttribute(a.name, a.value); });
      old.replaceChildren.apply(old, Array.prototype.slice.call(next.childNodes));
    });
    if (back) (back() || home).focus({ preventScroll: true });
    doc.dispatchEvent(new CustomEvent("list:shown")); say(home.dataset.said);
  }
  function place(element) {             // how to find again what has the focus and is about to go
    var part = element && element.closest("[data-part]"); if (!part) return null;
    if (part.dataset.part === "drawer") return function () { return one("#filter-open"); };
    if (element.id && element !== home) return function () { return doc.getElementById(element.id); };
    if (element.rel) return function () { return one("[data-part=rows] a[rel=" + element.rel + "]") || one("[data-part=rows] .pager a[rel]"); };
    if (element.closest(".chip")) return function () { return one("[data-part=chips] .chip .x") || one("#filter-open"); };
    if (part.dataset.part === "chips") return function () { return one("#filter-open"); };
    return function () { return home; };
  }
  function settle(how) {
    var box = one("[data-find]"), bar = box && box.closest(".bar");
    if (box && !how.typed) box.value = home.dataset.search || "";
    if (how.y !== undefined) scrollTo(0, how.y);
    else if (how.top && bar && bar.getBoundingClientRect().top < 0) bar.scrollIntoView({ block: "start" });
  }
  function relink(from, to) { each("input[name=next]", doc, function (field) { if (field.value === from) field.value = to; }); }
  function target(form) {
    var query = new URLSearchParams(new FormData(form)); if (!query.get("search")) query.delete("search");
    return path + (String(query) && "?" + query);
  }
  on("click", function (event) {
    var link = event.target.closest("[data-part] a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.target || link.hasAttribute("download") || link.hasAttribute("data-selection-url")) return;
    if (link.origin !== location.origin || link.pathname !== path) return;
    event.preventDefault(); load(address(link), { write: "push", top: !!link.closest(".pager") });
  });
  on("submit", function (event) {
    var form = event.target; if (!form.matches("#find, #filter") || event.defaultPrevented) return;
    event.preventDefault();
    var url = target(form); load(url, { write: url === shown ? "replace" : "push", typed: form.id === "find" });
  }, true);
  on("list:again", function () { load(shown, {}); });               // a row was changed in its place
  on("list:go", function (event) {      // another script has changed what the list shows
    var link = doc.createElement("a"); link.href = event.detail.url; load(address(link), { write: "replace" });
  });
  window.addEventListener("popstate", function (event) {
    if (location.pathname === path && address(location) !== shown) load(address(location), { y: (event.state || {}).y || 0 });
  });

  /* ---- Searching while typing ------------------------------------------------------------------------------------- */
  function typed(box) {
    clearTimeout(timer);
    timer = setTimeout(function () {
      var url = target(box.form); if (url === shown) return;
      load(url, { write: (history.state || {}).typed ? "replace" : "push", typed: true });
    }, TYPED);
  }
  on("input", function (event) { if (event.target.matches("[data-find]") && !event.isComposing) typed(event.target); });
  on("compositionend", function (event) { if (event.target.matches("[data-find]")) typed(event.target); });

  /* ---- How many the filter would find ----------------------------------------------------------------------------- */
  function told(match, number) { each("[data-match]", doc, function (e) { e.textContent = match; }); each("[data-number]", doc, function (e) { e.textContent = number; }); }
  function chosen(event) {
    var form = event.target.closest("#filter"); if (!form || !event.target.name && event.type === "input") return;
    clearTimeout(countTimer);
    countTimer = setTimeout(function () {
      if (counting) counting.abort(); counting = new AbortController();
      fetch(target(form), { headers: { "X-Fragment": "count" }, credentials: "same-origin", signal: counting.signal }).then(function (answer) {
        if (!answer.ok || answer.redirected) throw new Error(answer.status); return answer.json();
      }).then(function (found) { told(found.match, found.number); }).catch(function (problem) { if (problem.name !== "AbortError") told("", ""); });
    }, CHOSEN);
  }
  on("input", chosen); on("change", chosen);
  on("fragment", function (event) {     // the drawer has the builder of conditions, which most visits to a list do not need
    if (window.bursarBuilder || !one("[data-condition]", event.target)) return;
    var script = doc.createElement("script"); script.src = one("script[src$='/list.js']").src.replace(/list\.js$/, "builder.js"); doc.head.append(script);
  });

  /* ---- A filter that cannot be used is shown where it can be mended ------------------------------------------------- */
  function mend() { var box = one("#builder[data-open]"); if (box && box.showPopover) { delete box.dataset.open; box.showPopover(); } }
  on("list:shown", mend); on("DOMContentLoaded", mend);      // when app.js listens, which loads what is in it

  /* ---- Height of the rows ----------------------------------------------------------------------------------------- */
  function density() { each("[data-density-to]", doc, function (b) { b.setAttribute("aria-pressed", String(b.dataset.densityTo === (root.dataset.density || ""))); }); }
  on("click", function (event) {
    var choice = event.target.closest("[data-density-to]"); if (!choice) return;
    var to = choice.dataset.densityTo; if (to) root.dataset.density = to; else delete root.dataset.density;
    try { localStorage.setItem("bursar-density", to); } catch (e) { /* only for this page, then */ }
    var menu = choice.closest("details"); menu.open = false; one("summary", menu).focus(); density();
  });
  density();

  /* ---- A table that is too wide for the page scrolls in its box, and its head cannot stay on the screen then -------- */
  function fit() { each("[data-list]", home, function (box) { box.classList.remove("wide"); box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1); }); }
  if (window.ResizeObserver) new ResizeObserver(fit).observe(home); else window.addEventListener("resize", fit);
  on("list:shown", fit); fit();

  /* ---- Row menus by arrow keys ------------------------------------------------------------------------------------ */
  on("keydown", function (event) {
    var step = { ArrowDown: 1, ArrowUp: -1 }[event.key]; if (!step) return;
    var at = event.target, menu = at.closest(".pop.float") || at.matches("[popovertarget]") && doc.getElementById(at.getAttribute("popovertarget"));
    if (!menu || !menu.matches(".pop.float:popover-open")) return;
    var items = Array.prototype.slice.call(menu.querySelectorAll("a, button")), now = items.indexOf(at);
    event.preventDefault(); items[now < 0 ? (step > 0 ? 0 : items.length - 1) : (now + step + items.length) % items.length].focus();
  });
})();
