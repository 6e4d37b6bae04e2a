/* The composer: what the recipients get is asked for anew while the form is filled in. The same form is posted with
   _look, and the answer is the fragment alone (X-Fragment: look); without this script its buttons do the same with a whole page.

   [data-look]       is replaced by the fragment
   [data-look-now]   asks now;   [data-look-test]   also sends the test mail */
(function () {
  "use strict";
  var doc = document, place = doc.querySelector("[data-look]"), form = place && place.closest("form");
  if (!form || !window.fetch) return;
  var PAUSE = 600, timer = 0, asked = null;
  function ask(what) {
    clearTimeout(timer);
    if (asked) asked.abort();
    var mine = asked = new AbortController(), data = new FormData(form);
    Array.prototype.forEach.call(form.querySelectorAll("input[type=file]"), function (f) { data.delete(f.name); });   // they travel once, with the message
    data.set("_look", what);
    place.setAttribute("aria-busy", "true");
    return fetch(form.getAttribute("action") || location.href, { method: "POST", body: data, headers: { "X-Fragment": "look" }, credentials: "same-origin", signal: mine.signal })
      .then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.text(); })
      .then(function (html) {
        if (asked !== mine) return;
        var holder = doc.createElement("template"), open = place.querySelector(".plain-part[open]"); holder.innerHTML = html;
        place.replaceChildren(holder.content); asked = null;
        if (open && (open = place.querySelector(".plain-part"))) open.open = true;
        place.dispatchEvent(new CustomEvent("fragment", { bubbles: true }));
      })
      .catch(function (error) { return error.name === "AbortError"; })
      .finally(function () { if (!asked || asked === mine) place.removeAttribute("aria-busy"); });
  }
  function soon(event) {
    if (event.target.type === "file" || event.target.matches("[role=combobox]")) return;   // not what is typed there: what is chosen
    clearTimeout(timer); timer = setTimeout(ask, PAUSE, "show");
  }
  form.addEventListener("input", soon); form.addEventListener("change", soon);
  form.addEventListener("click", function (event) {
    var button = event.target.closest("[data-look-now], [data-look-test]"); if (!button) return;
    event.preventDefault();
    button.disabled = true;
    ask(button.value).finally(function () { button.disabled = false; });
  });
})();
