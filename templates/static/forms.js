/* What native controls of a form cannot do. Loaded with `defer` by ui.form_words(), after app.js; without it every
   control below is the browser's own.

   form[data-guard]           is checked here: the sentences are ours, at the field, in the person's language
   select[data-pick]          a long list becomes a box to type in; the select stays, hidden, and keeps the value
   .choices[data-sift]        many check boxes get a box that shows only those that match
   [data-currency-of="name"]  shows the value of that field beside an amount */
(function () {
  "use strict";
  var doc = document, root = doc.documentElement, holder = doc.getElementById("form-words"); if (!holder) return;
  var words = holder.dataset, MOST = 80;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function all(selector, inside) { return Array.prototype.slice.call((inside || doc).querySelectorAll(selector)); }
  function on(type, handler, capture) { doc.addEventListener(type, handler, !!capture); }
  function say(text) { var p = doc.getElementById("announce"); if (p) { p.textContent = ""; setTimeout(function () { p.textContent = text; }, 30); } }
  function fold(text) { return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase(); }
  function make(tag, attributes) {
    var element = doc.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) { element.setAttribute(name, attributes[name]); });
    return element;
  }

  /* ---- Checking ---------------------------------------------------------------------------------------------------- */
  function shown(control) { return control.picked || control; }             // what the person sees of a hidden select
  function boxOf(control) { return control.closest(".field"); }
  function limit(control, text) {
    if (control.type === "number" || control.type === "range") return Number(text).toLocaleString(root.lang || undefined);
    var moment = new Date(control.type === "date" ? text + "T00:00" : text);
    return isNaN(moment) ? text : new Intl.DateTimeFormat(root.lang || undefined, control.type === "date" ? { dateStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" }).format(moment);
  }
  function sentence(control) {
    var v = control.validity, dated = /^(date|datetime-local|month|time)$/.test(control.type);
    if (v.valueMissing) return control.type === "radio" || control.tagName === "SELECT" ? words.choose : words.missing;
    if (v.customError) return control.validationMessage;
    if (v.badInput) return dated ? words.date : words.number;
    if (v.typeMismatch && control.type === "email") return words.email;
    if (v.rangeUnderflow) return (dated ? words.early : words.least).replace("{limit}", limit(control, control.min));
    if (v.rangeOverflow) return (dated ? words.late : words.most).replace("{limit}", limit(control, control.max));
    if (v.stepMismatch) return words.whole;
    if (v.tooLong) return words.long.replace("{limit}", control.maxLength);
    return v.valid ? "" : control.title || words.other;
  }
  function clear(box) {
    all(".error", box).forEach(function (e) { e.remove(); });
    all("[aria-invalid]", box).forEach(function (e) { e.removeAttribute("aria-invalid"); });
    all("[aria-describedby]", box).concat(box).forEach(function (e) {
      var kept = (e.getAttribute("aria-describedby") || "").split(/\s+/).filter(function (id) { return id && !/-error\d*$/.test(id); }).join(" ");
      if (kept) e.setAttribute("aria-describedby", kept); else e.removeAttribute("aria-describedby");
    });
  }
  function check(control) {               // gives whether it is right, and shows what is wrong
    var box = boxOf(control), said = sentence(control), face = shown(control); if (!box) return !said;
    clear(box);
    if (!said) return true;
    var error = holder.content.firstElementChild.cloneNode(true), grouped = box.tagName === "FIELDSET", target = grouped ? box : face;
    error.id = (target.id || control.name) + "-error"; error.lastElementChild.textContent = said;
    (one(":scope > .check > span", box) || box).append(error);
    target.setAttribute("aria-describedby", ((target.getAttribute("aria-describedby") || "") + " " + error.id).trim());
    if (!grouped) face.setAttribute("aria-invalid", "true");
    return false;
  }
  function ours(form) { return form && form.noValidate && form.hasAttribute("data-guard"); }
  function wrong(form) {
    var groups = {};
    return Array.prototype.filter.call(form.elements, function (e) {
      if (!e.willValidate || e.validity.valid || e.closest("[hidden]:not(select)") && !e.closest("[role=tabpanel]")) return false;
      if (e.type === "radio") { if (groups[e.name]) return false; groups[e.name] = true; }
      return true;
    });
  }
  function label(control) {
    var box = boxOf(control), text = box && (one(":scope > .check > span", box) || one(":scope > label, :scope > .label", box));
    return text ? text.firstChild.textContent.trim() : control.name;
  }
  on("submit", function (event) {
    var form = event.target, button = event.submitter;
    if (!ours(form) || button && button.formNoValidate) return;
    var found = wrong(form); found.forEach(check); if (!found.length) return;
    event.preventDefault(); event.stopImmediatePropagation();
    found[0].dispatchEvent(new Event("invalid"));   // app.js opens what it is folded into
    var face = shown(found[0]); face.focus(); (boxOf(found[0]) || face).scrollIntoView({ block: "center" });
    say(words.again + " " + found.map(label).join(", "));
  }, true);
  on("change", function (event) {         // also takes away what the server said: it was about the value before
    var control = event.target, looked = control.type === "hidden" && control.closest("[data-lookup-box]");
    if (looked) control = one("[data-lookup]", looked);   // something was chosen in it
    var box = control.form && ours(control.form) && boxOf(control);
    if (!box || !control.willValidate || !looked && control.matches("[role=combobox]")) return;
    if (control.value || control.checked || one(".error", box)) check(control);
  });

  /* ---- Choosing from a long list ------------------------------------------------------------------------------------ */
  function pick(select) {
    if (select.picked || select.multiple || select.matches(":disabled")) return;
    var id = select.id, list = make("div", { "class": "pop", role: "listbox", id: id + "-list", hidden: "" });
    var input = make("input", { "class": select.className, type: "text", role: "combobox", id: id, "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id, autocomplete: "off", spellcheck: "false" });
    ["aria-describedby", "aria-invalid"].forEach(function (name) { if (select.hasAttribute(name)) input.setAttribute(name, select.getAttribute(name)); });
    if (select.required) input.setAttribute("aria-required", "true");
    var text = one("label[for='" + CSS.escape(id) + "']"); if (text) list.setAttribute("aria-label", text.firstChild.textContent.trim());
    var box = make("div", { "class": "suggest pick" }), line = make("span", { "class": "affix" }), had = doc.activeElement === select;
    select.id = id + "-native"; select.hidden = true; select.picked = input;
    select.replaceWith(box); line.append(input); box.append(line, select, list); sync();

    var options = [], at = -1;
    function current() { var o = select.selectedOptions[0]; return o ? o.textContent.trim() : ""; }
    function sync() { var o = select.selectedOptions[0]; input.value = o && o.value ? current() : ""; input.placeholder = o && !o.value ? current() : ""; }
    function close() { list.hidden = true; list.replaceChildren(); at = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); }
    function point(to) {
      if (!options.length) return;
      at = (to + options.length) % options.length;
      all("[role=option]", list).forEach(function (o, n) { o.setAttribute("aria-selected", String(n === at)); if (n === at) { input.setAttribute("aria-activedescendant", o.id); o.scrollIntoView({ block: "nearest" }); } });
    }
    function matching(term) {             // the value itself first, then words that begin with it
      var wanted = fold(term), exact = [], first = [], rest = [];
      Array.prototype.forEach.call(select.options, function (o) {
        var name = fold(o.textContent), place = name.indexOf(wanted);
        if (wanted && (o.value.toLocaleLowerCase() === wanted || name.trim() === wanted)) exact.push(o);
        else if (!wanted || place === 0 || place > 0 && /[\s/(]/.test(name[place - 1])) first.push(o);
        else if (place > 0) rest.push(o);
      });
      return exact.concat(first, rest);
    }
    function open(term) {
      var found = matching(term); options = found.slice(0, term ? MOST : found.length);
      list.replaceChildren.apply(list, options.map(function (o, n) {
        var row = make("div", { "class": "option", role: "option", id: list.id + "-" + n, "aria-selected": "false" });
        row.textContent = o.textContent.trim() || "–"; return row;
      }));
      if (!options.length || found.length > options.length) { var told = make("p", { "class": "told" }); told.textContent = options.length ? words.more : words.none; list.append(told); if (!options.length) say(words.none); }
      list.hidden = false; input.setAttribute("aria-expanded", "true"); at = -1;
      point(term ? 0 : Math.max(0, options.indexOf(select.selectedOptions[0])));
    }
    function take(option) {
      close(); var before = select.value; select.value = option.value; sync();
      if (before !== select.value) { select.dispatchEvent(new Event("input", { bubbles: true })); select.dispatchEvent(new Event("change", { bubbles: true })); }
    }
    function settle() {                   // leaving: empty means the empty choice, one match is that; else what it was
      var typed = input.value.trim(), same = typed && typed !== current() && matching(typed), exact = same && same.filter(function (o) { return fold(o.textContent.trim()) === fold(typed); })[0];
      var empty = !typed && Array.prototype.filter.call(select.options, function (o) { return !o.value; })[0];
      if (exact || empty) take(exact || empty); else if (same && same.length === 1) take(same[0]); else { close(); sync(); }
    }
    input.addEventListener("input", function (event) { event.stopPropagation(); open(input.value.trim()); });
    input.addEventListener("change", function (event) { event.stopPropagation(); });
    input.addEventListener("click", function () { if (list.hidden) { input.select(); open(""); } });
    input.addEventListener("blur", settle);
    input.addEventListener("keydown", function (event) {
      var opened = !list.hidden;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); if (opened) point(at + (event.key === "ArrowDown" ? 1 : -1)); else open(""); }
      else if (event.key === "Enter" && opened) { event.preventDefault(); if (at >= 0) take(options[at]); else { close(); sync(); } }
      else if (event.key === "Escape" && opened) { event.preventDefault(); event.stopPropagation(); close(); sync(); }
    });
    list.addEventListener("mousedown", function (event) {
      event.preventDefault();             // before the box loses its focus
      var row = event.target.closest("[role=option]"); if (row) take(options[all("[role=option]", list).indexOf(row)]);
    });
    select.addEventListener("change", sync);
    if (select.form) select.form.addEventListener("reset", function () { setTimeout(sync, 0); });
    window.addEventListener("pageshow", sync);
    if (had) input.focus();
  }

  /* ---- Many check boxes ---------------------------------------------------------------------------------------------- */
  function sift(choices) {
    var title = one("legend", choices.closest("fieldset")), input = make("input", { "class": "input", type: "search", placeholder: words.find, "aria-label": words.find + (title ? ": " + title.firstChild.textContent.trim() : ""), autocomplete: "off" });
    var rows = all(":scope > label", choices), none = make("p", { "class": "hint", role: "status" });
    choices.before(input); choices.after(none);
    input.addEventListener("input", function (event) {
      event.stopPropagation();            // looking for something changes nothing
      var term = fold(input.value.trim()), left = 0;
      rows.forEach(function (row) { row.hidden = term !== "" && fold(row.textContent).indexOf(term) < 0; if (!row.hidden) left++; });
      none.textContent = left ? "" : words.none;
    });
    input.addEventListener("keydown", function (event) { if (event.key === "Enter") event.preventDefault(); });
  }

  /* ---- Begin ----------------------------------------------------------------------------------------------------------- */
  function currencies(form) {
    all("[data-currency-of]", form).forEach(function (unit) {
      var source = one("select[name='" + CSS.escape(unit.dataset.currencyOf) + "'], input[name='" + CSS.escape(unit.dataset.currencyOf) + "']", form);
      if (source && source.value) unit.textContent = source.value;
    });
  }
  on("change", function (event) { if (event.target.form) currencies(event.target.form); });
  all("form[data-guard]").forEach(function (form) { form.noValidate = true; currencies(form); });
  all("select[data-pick]").forEach(pick);
  all("[data-sift]").forEach(sift);
  var first = one("form .field .error"), box = first && first.closest(".field");   // the server refused it: to the first mistake
  if (box) {
    var control = one("input:not([type=hidden]), select:not([hidden]), textarea", box);
    if (control) { control.dispatchEvent(new Event("invalid")); control.focus(); }
  }
})();
