/* The form of a message template: the list of fields, and how the text looks while one types.

   [data-look="URL"]      the form is posted there, and the answer stands in its place; mistakes also stand at their fields
   [data-macro-find]      shows only the fields that match; a press puts one in where the cursor stood last */
(function () {
  "use strict";
  var doc = document, look = doc.querySelector("[data-look]"), form = look && look.closest("form");
  if (!form || !window.fetch) return;
  var PAUSE = 500, timer = 0, asked = null;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function all(selector, inside) { return Array.prototype.slice.call((inside || doc).querySelectorAll(selector)); }
  function fold(text) { return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase(); }
  function tab() { return one("[data-languages] [role=tab][aria-selected=true]", form); }

  /* ---- Fields ------------------------------------------------------------------------------------------------------ */
  function into(field) { all("[data-insert]", form).forEach(function (b) { b.dataset.into = field.id; }); }
  form.addEventListener("focusin", function (event) { if (/^(subject|body)_/.test(event.target.name || "")) into(event.target); });
  var find = one("[data-macro-find]", form), none = one("[data-macro-none]", form);
  find.addEventListener("input", function (event) {
    event.stopPropagation();              // looking for something changes nothing
    var term = fold(find.value.trim()), left = 0;
    all(".macro-rows > li", form).forEach(function (row) { row.hidden = term !== "" && fold(row.textContent).indexOf(term) < 0; if (!row.hidden) left++; });
    none.textContent = left ? "" : none.dataset.text;
  });
  find.addEventListener("keydown", function (event) { if (event.key === "Enter") event.preventDefault(); });

  /* ---- The look ---------------------------------------------------------------------------------------------------- */
  function ask() {
    clearTimeout(timer); if (asked) asked.abort();
    var mine = asked = new AbortController(), data = new FormData(form); data.set("language", tab().dataset.code);
    look.setAttribute("aria-busy", "true");
    fetch(look.dataset.look, { method: "POST", body: data, headers: { "X-Fragment": "look" }, credentials: "same-origin", signal: mine.signal })
      .then(function (answer) { if (!answer.ok || answer.redirected) throw new Error(answer.status); return answer.text(); })
      .then(function (html) {
        if (asked !== mine) return;
        var holder = doc.createElement("template"), open = one(".as-text[open]", look), last = one(".mail", look); holder.innerHTML = html;
        look.replaceChildren(holder.content);
        if (last && one("[data-mistake]", look) && !one(".mail", look)) { last.classList.add("stale"); look.append(last); }   // as it was before the mistake
        if (open && (open = one(".as-text", look))) open.open = true;
        mark();
      })
      .catch(function () { /* the last look stays */ })
      .finally(function () { if (asked === mine) { asked = null; look.removeAttribute("aria-busy"); } });
  }
  function soon() { clearTimeout(timer); timer = setTimeout(ask, PAUSE); }
  function changed(event) {
    if (event.target.matches("[role=combobox]")) return;   // not what is typed there: what is chosen
    soon();
  }
  form.addEventListener("input", changed); form.addEventListener("change", changed); form.addEventListener("lookup:chosen", soon);
  form.addEventListener("click", function (event) {
    if (event.target.closest("[data-look-now]")) { event.preventDefault(); ask(); }
    var chosen = event.target.closest("[data-languages] [role=tab]");
    if (chosen) setTimeout(function () { into(form.elements.namedItem("body_" + chosen.dataset.code)); ask(); }, 0);
  });
  form.addEventListener("keyup", function (event) { if (event.target.matches("[role=tab]")) soon(); });

  /* ---- Mistakes at their fields --------------------------------------------------------------------------------------- */
  function offset(text, line, column) {
    var at = 0;
    for (var n = 1; n < line; n++) { var next = text.indexOf("\n", at); if (next < 0) return text.length; at = next + 1; }
    return Math.min(at + column - 1, text.length);
  }
  function go(field, mistake) {
    var button = doc.getElementById("tab-" + mistake.dataset.code); if (button && button.getAttribute("aria-selected") !== "true") button.click();
    var at = offset(field.value, Number(mistake.dataset.line), Number(mistake.dataset.column) || 1);
    field.focus(); field.setSelectionRange(at, Math.min(at + 1, field.value.length));
  }
  var told = one("[data-look-said]", form);
  function mark() {
    var words = all("[data-mistake]", look).map(function (m) { return m.textContent.trim(); }).join(" ");
    if (told.textContent !== words) told.textContent = words;
    all("[data-live]", form).forEach(function (e) { e.remove(); });
    all("[data-marked]", form).forEach(function (e) { e.removeAttribute("aria-invalid"); e.removeAttribute("aria-describedby"); delete e.dataset.marked; });
    all("[data-mistake]", look).forEach(function (mistake) {
      var field = form.elements.namedItem(mistake.dataset.mistake), box = field && field.closest(".field"); if (!box) return;
      all(".error", box).forEach(function (e) { e.remove(); });        // what the server said of the text before
      var said = doc.createElement("span"); said.className = "error"; said.id = field.id + "-error"; said.dataset.live = ""; said.textContent = one("[data-what]", mistake).textContent;
      box.append(said); field.setAttribute("aria-invalid", "true"); field.setAttribute("aria-describedby", said.id); field.dataset.marked = "";
      if (mistake.dataset.line === "0") return;
      var button = doc.createElement("button"); button.type = "button"; button.className = "btn plain sm"; button.textContent = look.dataset.show;
      button.addEventListener("click", function () { go(field, mistake); }); mistake.append(button);
    });
  }
  mark();
})();
