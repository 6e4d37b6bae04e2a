/* Bursar's behaviours. No module, no dependency; loaded with `defer`. Everything is delegated from the document, so
   fragments that arrive later behave too. A page without JavaScript still shows, sorts, pages, and posts its forms.

   data-lookup="URL"          combobox: fetches URL&term=... -> {"results": [{"id", "text"}]}; puts the id into the hidden input of its
                              [data-lookup-box]. With data-many: chips with one hidden input each (from the box's <template>).
                              Fires the bubbling event "lookup:chosen" {id, text} on the input.
   data-template-source="URL" on a lookup: choosing fetches URL?id=... -> {"contents": {"de": {"subject", "body"}}} and fills
                              subject_de, body_de...; asks before it replaces typed text
   data-generate="#password"  fills a random password of 16 characters, and the field named in data-same; shows it
   data-reveal="#password"    shows or hides a password;   data-copy="#field" copies its value or text (data-copy-text="...": that)
   data-list                  a list with boxes: [data-check-all], [data-check value=pk]; the bar [data-selection-bar] has
                              [data-selection-count], [data-select-matching data-total], [data-selection-clear] and links
                              [data-selection-url] that get pks=1,2,3 and the look of the list, or its query and all=1
   data-tabs                  role=tablist inside switches panels; [data-filled] shows which languages have a text
   data-insert="text"         inserts text at the cursor of the field whose id is in data-into
   data-files                 a file input whose chosen files are listed ([data-file-list]), removable, and may be dropped
   data-poll="URL"            replaced by the fragment fetched from URL each data-every ms, until one comes without data-poll;
                              data-announce is read out when it has changed
   data-load="URL"            on a popover: its [data-loaded] is filled with the fragment of URL when it is opened first
   data-post-on-view          a form that is posted in the background once its page is looked at, then goes away
   data-confirm="question"    on a link, button or form: asks first; a form with data-sure-method is then sent that way
   data-dismiss               closes its [data-dismissable]; data-passing closes by itself
   data-guard                 on a form: warns before leaving with unsaved changes
   data-tidy                  on a GET form: leaves empty fields out of the address
   data-when="type=a|b"       shown only while the form's field `type` has one of the values
   data-relative              on <time datetime>: "3 days ago", the full moment as its title
   details.menu, [popover].float   close on a click outside and on Escape; a float stands at its button
   Submit buttons are switched off while a form is on its way, and on again when the page is shown again. */
(function () {
  "use strict";
  var doc = document, root = doc.documentElement;
  var words = (doc.getElementById("words") || { dataset: {} }).dataset;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function all(selector, inside) { return Array.prototype.slice.call((inside || doc).querySelectorAll(selector)); }
  function on(type, handler, capture) { doc.addEventListener(type, handler, !!capture); }
  function say(text) { var p = doc.getElementById("announce"); if (p && text) { p.textContent = ""; setTimeout(function () { p.textContent = text; }, 30); } }
  function fire(element, type, detail) { element.dispatchEvent(new CustomEvent(type, { bubbles: true, detail: detail })); }
  function changed(element) { element.dispatchEvent(new Event("input", { bubbles: true })); element.dispatchEvent(new Event("change", { bubbles: true })); }
  function withQuery(url, query) { return query ? url + (url.indexOf("?") < 0 ? "?" : "&") + query : url; }
  function getJson(url) {
    return fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" }).then(function (r) { if (!r.ok) throw new Error(r.status); return r.json(); });
  }
  function toast(text, kind) {
    var list = doc.getElementById("toasts"); if (!list) return say(text);
    var div = doc.createElement("div"), span = doc.createElement("span");
    div.className = "toast"; div.dataset.dismissable = ""; if (kind !== "bad") div.dataset.passing = "";
    span.textContent = text; if (kind === "bad") span.className = "t-bad"; div.append(span); list.append(div); passing(div);
  }

  /* ---- Seen ------------------------------------------------------------------------------------------------------- */
  function seen(form) {
    if (doc.visibilityState !== "visible") { doc.addEventListener("visibilitychange", function () { seen(form); }, { once: true }); return; }
    fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), credentials: "same-origin" }).then(function (r) { if (r.ok) form.remove(); }).catch(function () { /* the button stays */ });
  }

  /* ---- What is loaded when it is opened --------------------------------------------------------------------------- */
  on("beforetoggle", function (event) {
    var box = event.target, url = box.dataset && box.dataset.load, into = url && one("[data-loaded]", box);
    if (!into || event.newState !== "open") return;
    delete box.dataset.load;
    fetch(url, { headers: { "X-Fragment": "1" }, credentials: "same-origin" }).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.text(); }).then(function (html) {
      into.innerHTML = html; into.removeAttribute("aria-busy"); fire(into, "fragment");
      var first = one("input:not([type=hidden]), select", into); if (first) first.focus();
    }).catch(function () { box.dataset.load = url; into.textContent = words.failed; });
  }, true);

  /* ---- Asking ------------------------------------------------------------------------------------------------ */
  function ask(question, yes) {
    return new Promise(function (resolve) {
      var dialog = doc.getElementById("ask");
      if (!dialog || !dialog.showModal) return resolve(window.confirm(question));
      one("#ask-line", dialog).textContent = question;
      one("[data-yes]", dialog).textContent = yes || words.go;
      dialog.returnValue = "no";
      dialog.addEventListener("close", function () { resolve(dialog.returnValue === "yes"); }, { once: true });
      dialog.showModal();
    });
  }
  on("click", function (event) {
    var link = event.target.closest("a[data-confirm], button[data-confirm]");
    if (!link || link.dataset.sure) return;
    event.preventDefault();
    ask(link.dataset.confirm, link.dataset.yes).then(function (sure) {
      if (!sure) return;
      link.dataset.sure = "1"; link.click(); delete link.dataset.sure;
    });
  }, true);

  /* ---- Forms: unsaved changes, double submits, hidden mistakes ------------------------------------------------- */
  var dirty = new Set(), leaving = false;
  on("input", function (event) {
    var form = event.target.form || event.target.closest("form");
    if (form && form.hasAttribute("data-guard")) dirty.add(form);
  });
  on("change", function (event) { var form = event.target.form; if (form && form.hasAttribute("data-guard")) dirty.add(form); });
  window.addEventListener("beforeunload", function (event) {
    dirty.forEach(function (form) { if (!form.isConnected) dirty.delete(form); });
    if (dirty.size && !leaving) { event.preventDefault(); event.returnValue = ""; }
  });
  function submitters(form) { return Array.prototype.filter.call(form.elements, function (e) { return e.type === "submit"; }); }
  function release() {
    leaving = false;
    all("[data-waiting]").forEach(function (e) { e.disabled = false; e.removeAttribute("aria-busy"); e.removeAttribute("data-waiting"); });
  }
  on("submit", function (event) {
    var form = event.target, button = event.submitter;
    if (event.defaultPrevented || form.method === "dialog") return;
    if (form.dataset.confirm && !form.dataset.sure) {
      event.preventDefault();
      ask(form.dataset.confirm, form.dataset.yes).then(function (sure) {
        if (!sure) return;
        if (form.dataset.sureMethod) form.method = form.dataset.sureMethod;
        form.dataset.sure = "1"; form.requestSubmit(button || undefined); delete form.dataset.sure;
      });
      return;
    }
    leaving = true; dirty.delete(form);
    setTimeout(function () {            // after the browser has collected the pressed button's own value
      submitters(form).forEach(function (e) { if (!e.disabled) { e.disabled = true; e.dataset.waiting = ""; if (e === button) e.setAttribute("aria-busy", "true"); } });
      setTimeout(release, 8000);        // a download answers without a new page
    }, 0);
  });
  on("formdata", function (event) {
    if (!event.target.hasAttribute("data-tidy")) return;
    var empty = []; event.formData.forEach(function (value, name) { if (value === "" && empty.indexOf(name) < 0) empty.push(name); });
    empty.forEach(function (name) { var kept = event.formData.getAll(name).filter(function (v) { return v !== ""; }); event.formData.delete(name); kept.forEach(function (v) { event.formData.append(name, v); }); });
  });
  window.addEventListener("pageshow", function () { release(); selection(); });
  function unfold(element) {            // a mistake inside something folded: the browser cannot point at what is not shown
    var fold = element.closest("details:not([open])"), panel = element.closest("[role=tabpanel][hidden]");
    if (fold) fold.open = true;
    if (panel) { var tab = doc.getElementById(panel.getAttribute("aria-labelledby")); if (tab) choose(tab, false); }
  }
  on("invalid", function (event) { unfold(event.target); }, true);
  on("click", function (event) {
    var link = event.target.closest("form .banner a[href^='#']"), field = link && doc.getElementById(link.getAttribute("href").slice(1)); if (!field) return;
    event.preventDefault(); unfold(field); if (field.tabIndex < 0) field = one("input, select, textarea", field) || field; field.focus(); field.scrollIntoView({ block: "center" });
  });

  function when() {
    all("[data-when]").forEach(function (box) {
      var at = box.dataset.when.indexOf("="), name = box.dataset.when.slice(0, at), values = box.dataset.when.slice(at + 1).split("|");
      var form = box.closest("form"), field = form && form.elements.namedItem(name); if (!field) return;
      if (field.length && !field.options) {   // radio buttons in a fieldset of that id; a picked select with its box beside it
        var named = "[name='" + name + "']"; field = one(named + ":checked", form) || one(named + ":not([type=radio])", form) || { value: "" };
      }
      var value = field.type === "checkbox" ? (field.checked ? "true" : "") : field.value;
      box.hidden = values.indexOf(value) < 0;
      all("input, select, textarea", box).forEach(function (e) {   // what is hidden is not demanded
        if (box.hidden && e.required) { e.required = false; e.dataset.demanded = ""; }
        else if (!box.hidden && "demanded" in e.dataset) { e.required = true; delete e.dataset.demanded; }
      });
    });
  }
  on("change", when);

  /* ---- Look-up ------------------------------------------------------------------------------------------------- */
  var looking = new WeakMap();          // input -> {timer, asked, text, id}
  function state(input) {
    if (!looking.has(input)) { var hidden = hiddenOf(input); looking.set(input, { asked: 0, text: input.defaultValue, id: hidden ? hidden.value : "" }); }
    return looking.get(input);
  }
  function boxOf(input) { return input.closest("[data-lookup-box]"); }
  function hiddenOf(input) { return input.hasAttribute("data-many") ? null : one(":scope > input[type=hidden]", boxOf(input)); }
  function listOf(input) { return doc.getElementById(input.getAttribute("aria-controls")); }
  function close(input) { var list = listOf(input); list.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); }
  function told(input, text) {
    var list = listOf(input), p = doc.createElement("p");
    p.className = "told"; p.textContent = text; list.replaceChildren(p); list.hidden = false; input.setAttribute("aria-expanded", "true"); say(text);
  }
  function marked(text, term) {
    var part = doc.createElement("bdi"), at = term ? text.toLocaleLowerCase().indexOf(term.toLocaleLowerCase()) : -1;
    if (at < 0) { part.textContent = text; return part; }
    var mark = doc.createElement("mark"); mark.textContent = text.slice(at, at + term.length);
    part.append(text.slice(0, at), mark, text.slice(at + term.length)); return part;
  }
  function show(input, results, term) {
    var list = listOf(input);
    if (!results.length) return told(input, words.nothing);
    list.replaceChildren.apply(list, results.map(function (r, n) {
      var option = doc.createElement("div");
      option.className = "option"; option.id = list.id + "-" + n; option.setAttribute("role", "option"); option.setAttribute("aria-selected", "false");
      option.dataset.id = r.id; option.dataset.text = r.text; option.append(marked(r.text, term)); return option;
    }));
    list.hidden = false; input.setAttribute("aria-expanded", "true"); point(input, 0); say((words.found || "").replace("{n}", results.length));
  }
  function point(input, step, from) {
    var options = all("[role=option]", listOf(input)); if (!options.length) return;
    var now = options.findIndex(function (o) { return o.getAttribute("aria-selected") === "true"; });
    var next = from === undefined ? Math.max(0, now) + step : from;
    if (now < 0 && step) next = step > 0 ? 0 : options.length - 1;
    next = (next + options.length) % options.length;
    options.forEach(function (o, n) { o.setAttribute("aria-selected", String(n === next)); });
    input.setAttribute("aria-activedescendant", options[next].id); options[next].scrollIntoView({ block: "nearest" });
  }
  function look(input) {
    var s = state(input), term = input.value === s.text ? "" : input.value.trim(), number = ++s.asked;
    input.setAttribute("aria-busy", "true");
    getJson(withQuery(input.dataset.lookup, "term=" + encodeURIComponent(term))).then(function (answer) {
      if (number !== s.asked || doc.activeElement !== input) return;
      var taken = input.hasAttribute("data-many") ? all("[data-chips] input", boxOf(input)).map(function (e) { return e.value; }) : [];
      show(input, (answer.results || []).filter(function (r) { return taken.indexOf(String(r.id)) < 0; }), term);
    }).catch(function () { if (number === s.asked) told(input, words.failed); })
      .finally(function () { if (number === s.asked) input.removeAttribute("aria-busy"); });
  }
  function take(input, option) {
    var s = state(input), id = option.dataset.id, text = option.dataset.text, box = boxOf(input);
    s.asked++; clearTimeout(s.timer); input.removeAttribute("aria-busy"); close(input);
    if (input.hasAttribute("data-many")) {
      var chip = one("template", box).content.firstElementChild.cloneNode(true);
      one("bdi", chip).textContent = text; one("input", chip).value = id;
      one("[data-chip-remove]", chip).setAttribute("aria-label", one("[data-chip-remove]", chip).getAttribute("aria-label") + " " + text);
      one("[data-chips]", box).append(chip); input.value = ""; s.text = "";
    } else { input.value = s.text = text; s.id = hiddenOf(input).value = id; input.setCustomValidity(""); }
    fire(input, "lookup:chosen", { id: id, text: text }); changed(hiddenOf(input) || one("[data-chips]", box).lastElementChild.lastElementChild);
  }
  on("input", function (event) {
    var input = event.target; if (!input.matches("[data-lookup]")) return;
    var s = state(input); clearTimeout(s.timer); s.timer = setTimeout(function () { look(input); }, 150);
    if (!input.value && hiddenOf(input)) { s.text = ""; s.id = hiddenOf(input).value = ""; }
  });
  on("focusin", function (event) { if (event.target.matches("[data-lookup]")) state(event.target); });
  on("click", function (event) {
    var input = event.target.closest("[data-lookup]"); if (input && listOf(input).hidden) { input.select(); look(input); }
    var remove = event.target.closest("[data-chip-remove]");
    if (remove) {
      var box = remove.closest("[data-lookup-box]"), chips = remove.closest("[data-chips]");
      remove.closest(".chip").remove(); changed(chips); say(words.removed); var form = box.closest("form"); if (form && form.hasAttribute("data-guard")) dirty.add(form); one("[data-lookup]", box).focus();
    }
  });
  on("mousedown", function (event) {    // before the input loses its focus
    var option = event.target.closest("[data-lookup-box] [role=option]"); if (!option) return;
    event.preventDefault(); take(one("[data-lookup]", option.closest("[data-lookup-box]")), option);
  });
  on("focusout", function (event) {
    var input = event.target; if (!input.matches("[data-lookup]")) return;
    var s = state(input); clearTimeout(s.timer); s.asked++; input.removeAttribute("aria-busy"); close(input);
    if (input.value !== s.text) input.value = s.text;   // only what was chosen stays
  });
  on("keydown", function (event) {
    var input = event.target; if (!input.matches || !input.matches("[data-lookup]")) return;
    var open = !listOf(input).hidden, now = open && one("[aria-selected=true]", listOf(input));
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); if (open) point(input, event.key === "ArrowDown" ? 1 : -1); else look(input); }
    else if (event.key === "Enter" && (open || input.value !== state(input).text)) { event.preventDefault(); if (now) take(input, now); }
    else if (event.key === "Escape" && open) { event.preventDefault(); event.stopPropagation(); close(input); }
    else if (event.key === "Backspace" && !input.value && input.hasAttribute("data-many")) { var last = all("[data-chip-remove]", boxOf(input)).pop(); if (last) last.click(); }
  });

  /* ---- Composer: templates, macros, languages ------------------------------------------------------------------- */
  on("lookup:chosen", function (event) {
    var source = event.target.dataset.templateSource, form = event.target.form; if (!source || !form) return;
    getJson(withQuery(source, "id=" + encodeURIComponent(event.detail.id))).then(function (answer) {
      var pairs = [], lost = false;
      Object.keys(answer.contents || {}).forEach(function (code) {
        ["subject", "body"].forEach(function (part) {
          var field = form.elements.namedItem(part + "_" + code), text = answer.contents[code][part] || ""; if (!field) return;
          if (field.value.trim() && field.value !== text && field.dataset.filled !== field.value) lost = true;
          pairs.push([field, text]);
        });
      });
      return (lost ? ask(words.overwrite, words.replace) : Promise.resolve(true)).then(function (sure) {
        if (sure) pairs.forEach(function (p) { p[0].value = p[1]; p[0].dataset.filled = p[0].value; changed(p[0]); });
      });
    }).catch(function () { toast(words.failed, "bad"); });
  });
  on("click", function (event) {
    var button = event.target.closest("[data-insert]"); if (!button) return;
    var field = doc.getElementById(button.dataset.into), float = button.closest("[popover]"); if (!field) return;
    if (float) float.hidePopover();
    field.focus(); field.setRangeText(button.dataset.insert, field.selectionStart, field.selectionEnd, "end"); changed(field);
  });
  function choose(tab, focus) {
    all("[role=tab]", tab.closest("[role=tablist]")).forEach(function (t) {
      var now = t === tab, panel = doc.getElementById(t.getAttribute("aria-controls"));
      t.setAttribute("aria-selected", String(now)); t.tabIndex = now ? 0 : -1; if (panel) panel.hidden = !now;
    });
    if (focus) tab.focus();
  }
  on("click", function (event) { var tab = event.target.closest("[role=tab]"); if (tab) choose(tab, false); });
  on("keydown", function (event) {
    var tab = event.target.closest && event.target.closest("[role=tab]"); if (!tab) return;
    var tabs = all("[role=tab]", tab.closest("[role=tablist]")), at = tabs.indexOf(tab), turn = getComputedStyle(tab).direction === "rtl" ? -1 : 1;
    var to = { ArrowRight: at + turn, ArrowLeft: at - turn, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault(); choose(tabs[(to + tabs.length) % tabs.length], true);
  });
  function filled(panel) {
    var tab = doc.getElementById(panel.getAttribute("aria-labelledby")), dot = tab && one("[data-filled]", tab); if (!dot) return;
    var some = all("input, textarea", panel).filter(function (e) { return e.name && e.value.trim(); }).length;
    dot.className = "dot " + (some === 0 ? "open" : some === 1 ? "warn" : "ok");
  }
  on("input", function (event) { var panel = event.target.closest("[data-tabs] [role=tabpanel]"); if (panel) filled(panel); });

  /* ---- Passwords and copying ------------------------------------------------------------------------------------ */
  var SIGNS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_";   // without signs that look alike
  function password() {
    for (;;) {
      var text = "", bytes = new Uint8Array(64), limit = 256 - 256 % SIGNS.length; crypto.getRandomValues(bytes);
      for (var i = 0; i < bytes.length && text.length < 16; i++) if (bytes[i] < limit) text += SIGNS[bytes[i] % SIGNS.length];
      if (text.length === 16 && /[a-z]/.test(text) && /[A-Z]/.test(text) && /[2-9]/.test(text)) return text;
    }
  }
  function reveal(field, shown) {
    field.type = shown ? "text" : "password";
    all("[data-reveal]").forEach(function (b) {
      if (one(b.dataset.reveal) !== field) return;
      b.setAttribute("aria-pressed", String(shown)); b.setAttribute("aria-label", shown ? words.hide : words.show);
      var use = one("use", b); use.setAttribute("href", use.getAttribute("href").replace(/#.*/, shown ? "#eye-off" : "#eye"));
    });
  }
  on("click", function (event) {
    var make = event.target.closest("[data-generate]"), eye = event.target.closest("[data-reveal]"), copy = event.target.closest("[data-copy], [data-copy-text]"), field;
    if (make) {
      field = one(make.dataset.generate); field.value = password(); reveal(field, true); changed(field);
      var same = make.dataset.same && field.form && field.form.elements.namedItem(make.dataset.same); if (same && same !== field) { same.value = field.value; changed(same); }
      all("[data-copy]").forEach(function (b) { if (one(b.dataset.copy) === field) b.hidden = false; }); say(words.generated);
    }
    if (eye) { field = one(eye.dataset.reveal); reveal(field, field.type === "password"); }
    if (copy) {
      field = copy.dataset.copy && one(copy.dataset.copy);
      var text = copy.dataset.copyText || (field && ("value" in field ? field.value : field.textContent)) || "";
      var done = function () { toast(words.copied); };
      if (navigator.clipboard && window.isSecureContext) navigator.clipboard.writeText(text).then(done, function () { old(text); done(); }); else { old(text); done(); }
    }
  });
  function old(text) { var area = doc.createElement("textarea"); area.className = "sr"; area.value = text; doc.body.append(area); area.select(); doc.execCommand("copy"); area.remove(); }
  on("submit", function (event) { all("[data-reveal]", event.target).forEach(function (b) { var f = one(b.dataset.reveal); if (f) f.type = "password"; }); });   // so that no browser keeps it as text

  /* ---- Selecting rows -------------------------------------------------------------------------------------------- */
  var matching = false, anchor = null;
  function boxes() { return all("[data-list] [data-check]"); }
  function shape() {   // how the list looks: an export of some of its rows looks the same
    var said = new URLSearchParams(location.search), kept = new URLSearchParams();
    ["view", "changed", "columns", "sort"].forEach(function (name) { if (said.has(name)) kept.set(name, said.get(name)); });
    return kept.toString() && "&query=" + encodeURIComponent(kept);
  }
  function selection() {
    var bar = one("[data-selection-bar]"); if (!bar) return;
    var list = boxes(), chosen = list.filter(function (b) { return b.checked; }), head = one("[data-list] [data-check-all]");
    if (chosen.length < list.length) matching = false;
    head.checked = chosen.length > 0 && chosen.length === list.length; head.indeterminate = chosen.length > 0 && !head.checked;
    var more = one("[data-select-matching]", bar), total = more ? more.dataset.total : "";
    one("[data-selection-count]", bar).textContent = matching ? words.allSelected.replace("{n}", total) : words.selected.replace("{n}", chosen.length.toLocaleString(root.lang || undefined));
    if (more) more.hidden = matching;
    var query = matching ? [location.search.slice(1), "all=1"].filter(Boolean).join("&") : "pks=" + chosen.map(function (b) { return encodeURIComponent(b.value); }).join(",") + shape();
    all("[data-selection-url]", bar).forEach(function (a) { a.href = withQuery(a.dataset.selectionUrl, query); });
  }
  on("change", function (event) {
    if (event.target.matches("[data-check-all]")) { matching = false; boxes().forEach(function (b) { b.checked = event.target.checked; }); selection(); }
    else if (event.target.matches("[data-check]")) selection();
  });
  on("click", function (event) {
    var box = event.target.closest("[data-check]");
    if (box) {
      var list = boxes(), from = list.indexOf(anchor), to = list.indexOf(box);
      if (event.shiftKey && from >= 0) { list.slice(Math.min(from, to), Math.max(from, to) + 1).forEach(function (b) { b.checked = box.checked; }); selection(); }
      anchor = box;
    }
    if (event.target.closest("[data-select-matching]")) { boxes().forEach(function (b) { b.checked = true; }); matching = true; selection(); }
    if (event.target.closest("[data-selection-clear]")) { matching = false; boxes().forEach(function (b) { b.checked = false; }); selection(); }
  });

  on("list:shown", function () { matching = false; anchor = null; selection(); relative(); });   // list.js has put other rows in place
  on("toast", function (event) { toast(event.detail.text, event.detail.kind); });

  /* ---- Files ----------------------------------------------------------------------------------------------------- */
  function size(bytes) {
    var units = ["byte", "kilobyte", "megabyte", "gigabyte"], n = 0;
    while (bytes >= 1000 && n < 3) { bytes /= 1000; n++; }
    return new Intl.NumberFormat(root.lang || undefined, { style: "unit", unit: units[n], unitDisplay: n ? "short" : "long", maximumFractionDigits: bytes < 10 && n ? 1 : 0 }).format(bytes);
  }
  var kept = new WeakMap();             // input -> its files, so that choosing again adds
  function listFiles(box) {
    var input = one("input[type=file]", box), list = one("[data-file-list]", box), row = one("template", box);
    list.replaceChildren.apply(list, Array.prototype.map.call(input.files, function (file, n) {
      var li = row.content.firstElementChild.cloneNode(true);
      one("[data-file-name]", li).textContent = file.name; one("[data-file-size]", li).textContent = size(file.size); one("[data-file-remove]", li).dataset.fileRemove = n; return li;
    }));
    list.hidden = !input.files.length;
  }
  function setFiles(input, files) {
    var bag = new DataTransfer(); files.forEach(function (f) { bag.items.add(f); });
    input.files = bag.files; kept.set(input, files); listFiles(input.closest("[data-files]"));
    var form = input.form; if (form && form.hasAttribute("data-guard")) dirty.add(form);
  }
  function addFiles(input, files) {
    var before = input.multiple ? kept.get(input) || [] : [];
    var fresh = Array.prototype.filter.call(files, function (f) { return !before.some(function (b) { return b.name === f.name && b.size === f.size && b.lastModified === f.lastModified; }); });
    setFiles(input, input.multiple ? before.concat(fresh) : fresh.slice(-1));
  }
  on("change", function (event) { if (event.target.matches("[data-files] input[type=file]")) addFiles(event.target, event.target.files); });
  on("click", function (event) {
    var remove = event.target.closest("[data-file-remove]"); if (!remove) return;
    var input = one("input[type=file]", remove.closest("[data-files]")), files = Array.prototype.slice.call(input.files);
    files.splice(Number(remove.dataset.fileRemove), 1); setFiles(input, files); input.focus();
  });
  ["dragover", "dragleave", "drop"].forEach(function (type) {
    on(type, function (event) {
      var box = event.target.closest && event.target.closest("[data-files]"); if (!box) return;
      event.preventDefault(); box.classList.toggle("over", type === "dragover");
      if (type === "drop") addFiles(one("input[type=file]", box), event.dataTransfer.files);
    });
  });

  /* ---- Polling --------------------------------------------------------------------------------------------------- */
  function rest() {                    // the work of a card is over: the buttons above it and what stands below it tell of that
    fetch(location.href, { credentials: "same-origin" }).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.text(); }).then(function (html) {
      var page = new DOMParser().parseFromString(html, "text/html"), now = doc.activeElement;
      [".page > .head", "#tab"].forEach(function (where) {
        var old = one(where), fresh = one(where, page); if (!old || !fresh || old.contains(now) || all("textarea", old).some(function (t) { return t.value; })) return;
        old.replaceChildren.apply(old, Array.prototype.slice.call(fresh.childNodes)); fire(old, "fragment");
      });
    }).catch(function () {});            // the page says less, and nothing wrong
  }

  function poll(element) {
    if (element.dataset.polling) return; element.dataset.polling = "1";
    var wait = Math.max(250, Number(element.dataset.every) || 1000), failures = 0;
    (function again() {
      setTimeout(function () {
        if (!element.isConnected) return;
        if (doc.hidden || one("dialog[open]") || element.matches(":focus-within") && element.contains(one("details[open]", element))) return again();
        fetch(element.dataset.poll, { headers: { "X-Fragment": "1" }, credentials: "same-origin" }).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.text(); }).then(function (html) {
          var holder = doc.createElement("template"); holder.innerHTML = html.trim();
          var fresh = holder.content.firstElementChild; if (!fresh) throw new Error("empty");
          var now = doc.activeElement, at = now && now !== element && element.contains(now) ? all("a, button", element).indexOf(now) : -1;
          element.replaceWith(fresh); relative(fresh);
          if (at >= 0) { var same = all("a, button", fresh)[at]; if (same) same.focus(); else { fresh.tabIndex = -1; fresh.focus(); } }
          if (fresh.dataset.announce !== element.dataset.announce) say(fresh.dataset.announce);
          if (fresh.dataset.poll) poll(fresh); else if (fresh.id === "progress") rest();
        }).catch(function () { if (++failures < 20) { wait = Math.min(30000, wait * 2); again(); } });
      }, wait);
    })();
  }

  /* ---- Menus, floats, toasts -------------------------------------------------------------------------------------- */
  function closeMenus(except) { all("details.menu[open]").forEach(function (d) { if (!except || !d.contains(except)) d.open = false; }); }
  on("click", function (event) { closeMenus(event.target); });
  on("keydown", function (event) {
    if (event.key !== "Escape") return;
    var open = one("details.menu[open]"); if (open) { var inside = open.contains(doc.activeElement); open.open = false; if (inside) one("summary", open).focus(); event.preventDefault(); }
  });
  on("toggle", function (event) {       // a float stands at its button, whatever scrolls around it
    var float = event.target; if (!float.matches || !float.matches(".float[popover]") || event.newState !== "open") return;
    var button = one("[popovertarget='" + CSS.escape(float.id) + "']"); if (!button) return;
    var at = button.getBoundingClientRect(), own = float.getBoundingClientRect(), rtl = getComputedStyle(float).direction === "rtl", end = !float.classList.contains("macros");
    var left = end !== rtl ? at.right - own.width : at.left, top = at.bottom + 4;
    if (top + own.height > innerHeight - 8) top = Math.max(8, at.top - own.height - 4);
    float.style.left = Math.min(Math.max(8, left), innerWidth - own.width - 8) + "px"; float.style.top = top + "px";
  }, true);
  window.addEventListener("scroll", function () { all(".float:popover-open").forEach(function (f) { f.hidePopover(); }); }, { passive: true });
  function dismiss(item) { item.classList.add("gone"); setTimeout(function () { item.remove(); }, 180); }
  on("click", function (event) { var b = event.target.closest("[data-dismiss]"); if (b) dismiss(b.closest("[data-dismissable]")); });
  function passing(item) {
    if (!item.hasAttribute("data-passing")) return;
    setTimeout(function wait() { if (item.matches(":hover, :focus-within")) setTimeout(wait, 2000); else dismiss(item); }, 7000);
  }

  /* ---- Dates ------------------------------------------------------------------------------------------------------ */
  var STEPS = [["year", 31557600], ["month", 2629800], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]], ago, full, day;
  function relative(inside) {
    try { ago = ago || new Intl.RelativeTimeFormat(root.lang || undefined, { numeric: "auto" }); } catch (e) { return; }
    full = full || new Intl.DateTimeFormat(root.lang || undefined, { dateStyle: "long", timeStyle: "short" }); day = day || new Intl.DateTimeFormat(root.lang || undefined, { dateStyle: "long" });
    all("time[data-relative]", inside || doc).forEach(function (time) {
      var text = time.getAttribute("datetime"), plain = /^\d{4}-\d\d-\d\d$/.test(text), moment = new Date(plain ? text + "T00:00" : text); if (isNaN(moment)) return;
      var seconds = (moment - Date.now()) / 1000, distance = Math.abs(seconds), said;
      if (plain) { var days = Math.round((moment - new Date().setHours(0, 0, 0, 0)) / 864e5); seconds = days * 86400; distance = Math.abs(seconds); if (!days) said = ago.format(0, "day"); }
      if (!said) {
        var step = STEPS.find(function (s) { return distance >= (s[0] === "week" ? 2 * s[1] : s[1]); });
        if (step && step[0] === "week") step = distance < 60 * 86400 ? STEPS[3] : step;   // "26 days ago", as people count
        said = step ? ago.format(Math.round(seconds / step[1]), step[0]) : ago.format(0, "minute");
      }
      if (!time.title) time.title = (plain ? day : full).format(moment);
      time.textContent = said;
    });
  }
  setInterval(relative, 60000);
  on("fragment", function (event) { relative(event.target); when(); });   // what a script of its own has put into the page

  /* ---- Begin ------------------------------------------------------------------------------------------------------ */
  relative(); when(); selection();
  all("[data-poll]").forEach(poll); all("[data-post-on-view]").forEach(seen); all("[data-passing]").forEach(passing); all("[data-tabs] [role=tabpanel]").forEach(filled); all("[data-files]").forEach(listFiles);
  var refused = one("form .banner.bad[tabindex]"); if (refused) { refused.focus(); var form = refused.closest("form"); if (form && form.hasAttribute("data-guard")) dirty.add(form); }
})();
