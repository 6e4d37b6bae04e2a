/* A value that is kept as it was typed, but looks wrong, is said to at the field: nothing is refused. Loaded with `defer`
   by ui.doubts(form) where the form has such a field; without it the same sentence stands on the card after saving.

   [data-doubt="address"]        is asked about when the field is left, and again while it is mended
   [data-doubt-with="country"]   the name of a field that is sent along; when it changes, it is asked again */
(function () {
  "use strict";
  var doc = document, holder = doc.getElementById("doubt-said"), PAUSE = 400; if (!holder || !window.fetch) return;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function beside(field) { return field.form && one("[name='" + CSS.escape(field.dataset.doubtWith || "") + "']", field.form); }
  function described(field, id, on) {
    var ids = (field.getAttribute("aria-describedby") || "").split(/\s+/).filter(function (one) { return one && one !== id; });
    if (on) ids.push(id);
    if (ids.length) field.setAttribute("aria-describedby", ids.join(" ")); else field.removeAttribute("aria-describedby");
  }
  function show(field, sentence) {
    var id = field.id + "-doubt", said = doc.getElementById(id);
    if (said && said.lastElementChild.textContent === sentence) return;
    if (said) said.remove();
    described(field, id, sentence);
    if (!sentence) return;
    said = holder.content.firstElementChild.cloneNode(true); said.id = id; said.lastElementChild.textContent = sentence;
    field.closest(".field").append(said);
    var p = one("#announce"); if (p) { p.textContent = ""; setTimeout(function () { p.textContent = sentence; }, 30); }
  }
  function ask(field) {
    clearTimeout(field.doubting); if (field.doubted) field.doubted.abort();
    if (!field.value.trim()) return show(field, "");
    var other = beside(field), sent = new URLSearchParams([[field.name, field.value]]), mine = field.doubted = new AbortController();
    if (other) sent.set(other.name, other.value);
    fetch(field.dataset.doubt, { method: "POST", body: sent, credentials: "same-origin", signal: mine.signal }).then(function (answer) {
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      return answer.json();
    }).then(function (found) { if (field.doubted === mine) show(field, found[field.name] || ""); }).catch(function () { /* the server says it again after saving */ });
  }
  doc.addEventListener("change", function (event) {
    var field = event.target;
    if (field.matches("[data-doubt]")) return ask(field);
    var form = field.form; if (!form) return;
    form.querySelectorAll("[data-doubt]").forEach(function (f) { if (f.value && beside(f) === field) ask(f); });
  });
  doc.addEventListener("input", function (event) {   // while it is being mended; the first time it waits until it is left
    var field = event.target; if (!field.matches("[data-doubt]") || !doc.getElementById(field.id + "-doubt")) return;
    clearTimeout(field.doubting); field.doubting = setTimeout(ask, PAUSE, field);
  });
})();
