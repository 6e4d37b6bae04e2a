/* The columns of a list: the drawer that chooses them, dragging and stepping; the figures of saved views.
   Without scripts the same form is a page of its own.

   a[data-columns]            opens the drawer #columns with the form of its address
   [data-live]                the form is sent by itself when it changes; the list behind it follows (list.js)
   [data-picks] > [data-pick] columns in order: dragged by the mouse, moved by [data-step] and by Alt with an arrow key
   [data-find-in="#list"]     shows only the [data-label] inside whose words hold what is typed
   select[data-go]            sends its form when another one is chosen
   [data-counts="URL"]        asked for {id: figure} for each [data-count=id] inside */
(function () {
  "use strict";
  var doc = document, drawer = doc.getElementById("columns"), timer = 0, sending = null, dragged = null;
  var WAIT = 250;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function each(selector, inside, work) { Array.prototype.forEach.call(inside.querySelectorAll(selector), work); }
  function on(type, handler) { doc.addEventListener(type, handler); }
  function say(text) { var p = one("#announce"); if (p) { p.textContent = ""; setTimeout(function () { p.textContent = text; }, 30); } }
  function form() { return one("#columns-form"); }

  /* ---- The drawer ------------------------------------------------------------------------------------------------ */
  on("click", function (event) {
    var link = event.target.closest("a[data-columns]");
    if (!link || !drawer || !drawer.showPopover || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    form().action = link.pathname; form().setAttribute("aria-busy", "true");
    drawer.dataset.load = link.href; drawer.showPopover();
  });
  function send(submitter) {
    clearTimeout(timer); if (sending) sending.abort();
    var mine = sending = new AbortController(), data = new URLSearchParams(new FormData(form()));
    data.set("op", submitter || "apply");
    fetch(form().action, { method: "POST", body: data, headers: { "X-Fragment": "columns" }, credentials: "same-origin", signal: mine.signal }).then(function (answer) {
      if (answer.redirected || !answer.ok && answer.status !== 422) throw new Error(answer.status);
      return answer.ok ? answer.json() : null;                       // 422: nothing is ticked; the list stays as it is
    }).then(function (found) {
      if (!found) return;
      form().elements.namedItem("query").value = found.query;
      doc.dispatchEvent(new CustomEvent("list:go", { detail: { url: found.url } }));
      if (submitter === "reset") drawer.hidePopover();
    }).catch(function (problem) {
      if (problem.name !== "AbortError") doc.dispatchEvent(new CustomEvent("toast", { detail: { text: one("#words").dataset.failed, kind: "bad" } }));
    });
  }
  function soon() { if (form() && form().hasAttribute("data-live")) { clearTimeout(timer); timer = setTimeout(send, WAIT); } }
  on("change", function (event) { if (event.target.closest("#columns-form") && event.target.name) soon(); });
  on("submit", function (event) {
    var f = event.target; if (!f.matches("#columns-form[data-live]")) return;
    event.preventDefault(); event.stopPropagation();
    send(event.submitter && event.submitter.value === "reset" ? "reset" : "apply");
  });

  /* ---- The order ------------------------------------------------------------------------------------------------- */
  function moved(item) {
    var items = Array.prototype.slice.call(item.parentNode.children);
    say(item.dataset.label + ", " + (items.indexOf(item) + 1) + " / " + items.length); soon();
  }
  function step(item, by) {
    var to = by < 0 ? item.previousElementSibling : item.nextElementSibling; if (!to) return;
    if (by < 0) to.before(item); else to.after(item);
    moved(item);
  }
  on("click", function (event) {
    var button = event.target.closest("[data-step]"); if (!button) return;
    event.preventDefault(); step(button.closest("[data-pick]"), Number(button.dataset.step)); button.focus();
  });
  on("keydown", function (event) {
    var by = { ArrowUp: -1, ArrowDown: 1 }[event.key], item = by && event.altKey && event.target.closest && event.target.closest("[data-pick]"); if (!item) return;
    event.preventDefault(); var at = doc.activeElement; step(item, by); at.focus();
  });
  var at = 0, scrolling = 0;
  on("pointerdown", function (event) {  // dragged by its handle, with a mouse or a finger
    var grip = event.target.closest(".column-grip"); if (!grip || event.button) return;
    dragged = grip.closest("[data-pick]"); dragged.classList.add("column-dragged"); event.preventDefault(); at = event.clientY;
    if (grip.setPointerCapture) grip.setPointerCapture(event.pointerId);
    scrolling = setInterval(edge, 30);
  });
  function edge() {                     // near the edge, what lies beyond comes
    var box = dragged.closest(".drawer-body") || doc.scrollingElement, own = box === doc.scrollingElement ? { top: 0, bottom: innerHeight } : box.getBoundingClientRect();
    var by = at < own.top + 48 ? -12 : at > own.bottom - 48 ? 12 : 0; if (by) { box.scrollTop += by; place(); }
  }
  function place() {
    each("[data-pick]", dragged.parentNode, function (other) {
      var box = other.getBoundingClientRect(); if (other === dragged || !box.height || at < box.top || at > box.bottom) return;
      if (at < box.top + box.height / 2) { if (other.previousElementSibling !== dragged) other.before(dragged); }
      else if (other.nextElementSibling !== dragged) other.after(dragged);
    });
  }
  on("pointermove", function (event) { if (dragged) { at = event.clientY; place(); } });
  function drop() { if (!dragged) return; clearInterval(scrolling); var item = dragged; dragged = null; item.classList.remove("column-dragged"); moved(item); }
  on("pointerup", drop); on("pointercancel", drop);

  on("input", function (event) {
    if (!event.target.matches("[data-find-in]")) return;
    var wanted = event.target.value.trim().toLocaleLowerCase();
    each("[data-label]", one(event.target.dataset.findIn), function (item) { item.hidden = item.dataset.label.toLocaleLowerCase().indexOf(wanted) < 0; });
  });
  on("change", function (event) { if (event.target.matches("select[data-go]")) event.target.form.requestSubmit(); });

  /* ---- Figures of the tabs ------------------------------------------------------------------------------------------ */
  function figures() {
    var box = one("[data-counts]"); if (!box) return;
    var url = box.dataset.counts; delete box.dataset.counts;
    fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" }).then(function (r) { return r.ok && !r.redirected ? r.json() : {}; }).then(function (found) {
      each("[data-count]", doc, function (e) { if (found[e.dataset.count] !== undefined) e.textContent = found[e.dataset.count]; });
    }).catch(function () { /* a tab without its figure */ });
  }
  on("list:shown", figures); figures();
})();
