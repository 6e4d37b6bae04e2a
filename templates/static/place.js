/* Rows of dictionaries changed where they stand. The form comes from the server (sqladmin/place.html) and goes back
   there; without scripts the same addresses are pages.

   a[href*="/action/place?"]  in a row of a list: its form stands in place of the row
   [data-place-add]           below a list: a form for a new row stands at its end
   [data-place-new="URL"]     beside a look-up: a dialog; what was made there is chosen in the look-up
   Escape or "Cancel" goes back; fires list:again when a list has changed. */
(function () {
  "use strict";
  var doc = document;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function words() { return (one("#words") || { dataset: {} }).dataset; }
  function toast(text, kind) { doc.dispatchEvent(new CustomEvent("toast", { detail: { text: text, kind: kind } })); }
  function ask(url, more) {
    return fetch(url, Object.assign({ credentials: "same-origin" }, more, { headers: { "X-Fragment": "place" } }));
  }
  function get(url) {
    return ask(url).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.text(); });
  }
  function fill(box, html) {
    box.innerHTML = html; box.dispatchEvent(new CustomEvent("fragment", { bubbles: true }));
    var bad = one("[aria-invalid=true]", box) || one("form input:not([type=hidden]), form select", box);
    if (bad) { bad.focus(); if (bad.select && !bad.matches("[aria-invalid]")) bad.select(); }
  }

  /* ---- In a list -------------------------------------------------------------------------------------------------- */
  function open(link, after) {            // after: the row that the form replaces; none: it stands at the end
    var body = one("[data-part=rows] tbody"); if (!body) return location.assign(link.href);
    close(body);
    get(link.href).then(function (html) {
      var row = doc.createElement("tr"), cell = doc.createElement("td");
      row.className = "place-row"; cell.colSpan = one("thead tr", body.parentNode).cells.length; row.append(cell);
      if (after) { after.after(row); after.hidden = true; } else body.append(row);
      row.opener = link; fill(cell, html);
    }).catch(function () { location.assign(link.href); });
  }
  function close(inside) {
    var row = one(".place-row", inside); if (!row) return;
    if (row.previousElementSibling) row.previousElementSibling.hidden = false;
    var opener = row.opener; row.remove(); if (opener && opener.isConnected) opener.focus();
  }

  /* ---- Beside a look-up ------------------------------------------------------------------------------------------- */
  function dialog(button) {
    get(button.dataset.placeNew).then(function (html) {
      var box = doc.createElement("dialog"), head = doc.createElement("header"), title = doc.createElement("h2"), body = doc.createElement("div");
      box.className = "modal place-dialog"; title.id = "place-title"; title.textContent = button.textContent; box.setAttribute("aria-labelledby", title.id);
      head.append(title); box.append(head, body); box.opener = button; doc.body.append(box);
      box.addEventListener("close", function () { box.remove(); button.focus(); });
      box.showModal(); fill(body, html);
    }).catch(function () { toast(words().failed, "bad"); });
  }
  function choose(button, made) {         // as if it had been picked from the list of the look-up
    var box = button.closest("[data-lookup-box]"), list = one("[role=listbox]", box), option = doc.createElement("div");
    option.setAttribute("role", "option"); option.dataset.id = made.id; option.dataset.text = made.text; list.replaceChildren(option);
    option.dispatchEvent(new MouseEvent("mousedown", { bubbles: true, cancelable: true }));
  }

  doc.addEventListener("click", function (event) {
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    var link = event.target.closest("[data-part=rows] a[href*='/action/place?']"), add = event.target.closest("[data-place-add]"), fresh = event.target.closest("[data-place-new]");
    if (link) { event.preventDefault(); var pop = link.closest("[popover]"); if (pop) pop.hidePopover(); open(link, link.closest("tr")); }
    if (add) { event.preventDefault(); open(add, null); }
    if (fresh) { event.preventDefault(); dialog(fresh); }
    var cancel = event.target.closest("[data-place-cancel]"), shown = cancel && cancel.closest("dialog");
    if (shown) shown.close(); else if (cancel) close(doc);
  });
  doc.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && event.target.closest(".place-row")) { event.preventDefault(); close(doc); }
  });
  doc.addEventListener("submit", function (event) {
    var form = event.target; if (!form.matches("[data-place]")) return;
    event.preventDefault(); event.stopImmediatePropagation();
    if (form.getAttribute("aria-busy")) return; form.setAttribute("aria-busy", "true");
    ask(form.getAttribute("action"), { method: "POST", body: new FormData(form) }).then(function (answer) {
      if ((answer.headers.get("content-type") || "").indexOf("json") > 0 && answer.ok) return answer.json();
      if (answer.status !== 422) throw new Error(answer.status);
      return answer.text().then(function (html) { fill(form.parentNode, html); return null; });
    }).then(function (made) {
      if (!made) return;
      var box = form.closest("dialog"); toast(made.said, "ok");
      if (!box) return doc.dispatchEvent(new CustomEvent("list:again"));
      var button = box.opener; box.close(); choose(button, made);
    }).catch(function () { form.removeAttribute("aria-busy"); toast(words().failed, "bad"); });
  }, true);
})();
