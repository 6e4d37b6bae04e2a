/* Keys of the panel, and the sheet that lists them (dialog#keysheet). Loaded with `defer`. Nothing happens while
   somebody types, while a dialog is open, or when the person has switched them off (data-keys="off" on the page).
   The letters after "g" are declared at the screens; the sheet brings them as links [data-go]. */
(function () {
  "use strict";
  var doc = document, sheet = doc.getElementById("keysheet"), going = 0;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function typing(element) { return element.isContentEditable || /^(TEXTAREA|SELECT)$/.test(element.tagName) || (element.tagName === "INPUT" && !/^(checkbox|radio|button|submit|reset)$/.test(element.type)); }
  function seen(element) { return element && element.offsetParent !== null; }
  function letter(event) {                // also on keyboards of another script, by the place of the key
    return event.key.length === 1 && event.key.charCodeAt(0) > 127 && /^Key[A-Z]$/.test(event.code) ? event.code.slice(3).toLowerCase() : event.key;
  }

  /* A row is where the focus is: so everybody sees and hears which one, and Enter opens it by itself. */
  function rows() { return Array.prototype.filter.call(doc.querySelectorAll("main .table tbody tr"), seen); }
  function row() { var at = doc.activeElement && doc.activeElement.closest("main .table tbody tr"); return at || null; }
  function link(tr) { return one(".lead a[href]", tr) || one("td a[href], th a[href]", tr); }
  function move(by) {
    var all = rows(), at = all.indexOf(row()); if (!all.length) return false;
    var tr = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)], to = link(tr) || one("input, button, summary", tr);
    if (!to) { tr.tabIndex = -1; to = tr; }
    to.focus(); tr.scrollIntoView({ block: "nearest" }); return true;
  }
  function follow(element) { if (!seen(element)) return false; element.click(); return true; }
  function find() {
    var field = one("[data-find]"); if (!seen(field)) return follow(one(".top [data-palette]:not(.only-s)")) || follow(one(".top [data-palette].only-s"));
    field.focus(); field.select(); return true;
  }
  function help() {
    if (!sheet || !sheet.showModal || sheet.open) return false;
    doc.querySelectorAll("details.menu[open]").forEach(function (d) { d.open = false; });
    sheet.showModal(); return true;
  }
  var keys = {
    "/": find, "?": help,
    j: function () { return move(1); }, k: function () { return move(-1); },
    x: function () { var tr = row(), box = tr && one("[data-check]", tr); if (!box) return false; box.click(); return true; },
    o: function () { var tr = row(), to = tr && link(tr); if (!to) return false; to.click(); return true; },
    e: function () { return follow(one("main .head .acts a[href*='/edit/']")); },
    n: function () { return follow(one("main .head .acts a[href$='/create']")); },
    g: function () { going = Date.now(); return true; }
  };
  doc.addEventListener("click", function (event) {
    if (event.target.closest("[data-keysheet]")) help();
    else if (sheet && event.target === sheet) sheet.close();
  });
  doc.addEventListener("keydown", function (event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || doc.documentElement.dataset.keys === "off") return;
    if (typing(event.target) || one("dialog[open], .drawer:popover-open")) return;
    var key = letter(event), soon = Date.now() - going < 1500; going = 0;
    if (key === "Enter") { var tr = row(); if (tr && doc.activeElement.matches("[data-check]") && link(tr)) { event.preventDefault(); link(tr).click(); } return; }
    if (soon) {
      var to = /^[a-z]$/.test(key) && sheet && one("[data-go='" + key + "']", sheet);
      if (to) { event.preventDefault(); to.click(); return; }
    }
    if (Object.prototype.hasOwnProperty.call(keys, key) && keys[key]()) event.preventDefault();
  });
})();
