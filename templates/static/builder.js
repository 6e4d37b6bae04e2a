/* The builder of conditions: rows and groups in place of the JSON text of a ConditionField, which stays in the page,
   hidden, and is what the form sends. Loaded with `defer` by ui.condition(); fragments that arrive later say "fragment".

   data-condition="URL"   holds the text area. URL answers a posted condition: {said, match, none, problem, names, why}
   data-fields="URL"      {fields, words, few}: what there is to filter by; /admin/<table>/fields for related rows
   data-quiet             says no number: something else on the page does
   data-why="URL"         on a card: why one row is in or out of the condition in data-asked */
(function () {
  "use strict";
  if (window.bursarBuilder) return; window.bursarBuilder = true;
  var doc = document, root = doc.documentElement, base = doc.currentScript.src.replace(/\/[^/]*$/, ""), LOOK = 350, TYPED = 180, MOST = 60;
  var BARE = ["is_empty", "is_not_empty", "has", "has_none"], COUNTS = ["count_at_least", "count_at_most"], SPANS = ["in_last", "in_next"];
  var kept = {}, names = {}, serial = 0;
  function one(selector, inside) { return (inside || doc).querySelector(selector); }
  function all(selector, inside) { return Array.prototype.slice.call((inside || doc).querySelectorAll(selector)); }
  function say(text) { var p = doc.getElementById("announce"); if (p) { p.textContent = ""; setTimeout(function () { p.textContent = text; }, 30); } }
  function fold(text) { return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase(); }
  function make(tag, attributes) {
    var element = doc.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) { if (attributes[name] !== false && attributes[name] !== undefined) element.setAttribute(name, attributes[name]); });
    Array.prototype.slice.call(arguments, 2).forEach(function (child) { if (child !== null && child !== undefined) element.append(child); });
    return element;
  }
  function icon(name, css) {
    var svg = doc.createElementNS("http://www.w3.org/2000/svg", "svg"), use = doc.createElementNS("http://www.w3.org/2000/svg", "use");
    svg.setAttribute("class", "icon" + (css ? " " + css : "")); svg.setAttribute("aria-hidden", "true"); use.setAttribute("href", base + "/sprite.svg#" + name); svg.append(use); return svg;
  }
  function press(label, name, css, work, quiet) {
    var button = make("button", { "class": "btn " + css, type: "button", "aria-label": quiet ? label : undefined, title: quiet ? label : undefined }, name && icon(name), quiet ? null : label);
    button.addEventListener("click", work); return button;
  }
  function fill(text, values) { return text.replace(/\{(\w+)\}/g, function (_all, name) { return values[name]; }); }
  function getJson(url) { return fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" }).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.json(); }); }
  function post(url, values, signal) { return fetch(url, { method: "POST", body: new URLSearchParams(values), headers: { Accept: "application/json" }, credentials: "same-origin", signal: signal }).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.json(); }); }
  function catalogue(url) {
    if (!kept[url]) kept[url] = getJson(url).then(function (found) {
      found.by = {}; found.fields.forEach(function (f) { found.by[f.name] = f; }); kept[url].now = found; return found;
    }, function (problem) { delete kept[url]; throw problem; });
    return kept[url];
  }
  function learn(found) { Object.keys(found || {}).forEach(function (table) { Object.keys(found[table]).forEach(function (id) { names[table + ":" + id] = found[table][id]; }); }); }

  /* ---- A box to type in, with a list below it --------------------------------------------------------------------- */
  function combo(how) {                  // how: {label, words, value, placeholder, find(term) -> options or a promise, take(option)}
    var id = "builder-" + ++serial, input = make("input", { "class": "input", type: "text", role: "combobox", id: id, "aria-label": how.label, "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": id + "-list", autocomplete: "off", spellcheck: "false", placeholder: how.placeholder });
    var list = make("div", { "class": "pop", role: "listbox", id: id + "-list", "aria-label": how.label, hidden: "" }), box = make("div", { "class": "suggest pick" }, make("span", { "class": "affix" }, input), list);
    var options = [], at = -1, asked = 0, timer = 0; input.value = how.value || "";
    function close() { asked++; clearTimeout(timer); list.hidden = true; list.replaceChildren(); at = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); }
    function point(to) {
      if (!options.length) return; at = (to + options.length) % options.length;
      all("[role=option]", list).forEach(function (o, n) { o.setAttribute("aria-selected", String(n === at)); if (n === at) { input.setAttribute("aria-activedescendant", o.id); o.scrollIntoView({ block: "nearest" }); } });
    }
    function show(found) {
      var group = null, into = list; options = found.slice(0, MOST); list.replaceChildren();
      options.forEach(function (o, n) {
        if (o.group && o.group !== group) { group = o.group; into = make("div", { role: "group", "aria-label": group }, make("p", { "class": "told", "aria-hidden": "true" }, group)); list.append(into); }
        into.append(make("div", { "class": "option", role: "option", id: list.id + "-" + n, "aria-selected": "false", "data-n": n }, make("bdi", {}, o.text)));
      });
      if (!options.length || found.length > options.length) list.append(make("p", { "class": "told" }, options.length ? how.words.more : how.words.nothing));
      if (!options.length) say(how.words.nothing);
      list.hidden = false; input.setAttribute("aria-expanded", "true"); at = -1; if (input.value.trim()) point(0);
    }
    function look(term, wait) {
      clearTimeout(timer); var mine = ++asked;
      timer = setTimeout(function () {
        Promise.resolve(how.find(term)).then(function (found) { if (mine === asked && doc.activeElement === input) show(found); }).catch(function () { if (mine === asked) say(how.words.failed); });
      }, wait ? TYPED : 0);
    }
    function take(option) { close(); if (option) how.take(option, input); }
    input.addEventListener("input", function () { look(input.value.trim(), true); });
    input.addEventListener("focus", function () { input.select(); });
    input.addEventListener("click", function () { if (list.hidden) { input.select(); look("", false); } });
    input.addEventListener("blur", function () { close(); input.value = how.value || ""; });
    input.addEventListener("keydown", function (event) {
      var opened = !list.hidden;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); if (opened) point(at + (event.key === "ArrowDown" ? 1 : -1)); else look("", false); }
      else if (event.key === "Enter") { event.preventDefault(); if (opened && at >= 0) take(options[at]); }
      else if (event.key === "Escape" && opened) { event.preventDefault(); event.stopPropagation(); close(); input.value = how.value || ""; }
    });
    list.addEventListener("mousedown", function (event) { event.preventDefault(); var row = event.target.closest("[role=option]"); if (row) take(options[Number(row.dataset.n)]); });
    box.input = input; return box;
  }
  function among(options) {              // finds in a list that is here: what begins with the term comes first
    return function (term) {
      var wanted = fold(term), first = [], rest = [];
      options.forEach(function (o) { var where = fold(o.text).indexOf(wanted); if (where === 0) first.push(o); else if (where > 0) rest.push(o); });
      return wanted ? first.concat(rest) : options;
    };
  }
  function lookUp(table) { return function (term) { return getJson("/admin/" + table + "/lookup?term=" + encodeURIComponent(term)).then(function (found) { return found.results.map(function (r) { return { v: Number(r.id), text: r.text }; }); }); }; }
  function choose(label, options, value, take) {
    var select = make("select", { "class": "input", "aria-label": label });
    options.forEach(function (o) { var made = make("option", { value: o[0] }, o[1]); made.selected = o[0] === value; select.append(made); });
    select.addEventListener("change", function () { take(select.value); }); return select;
  }
  function typed(label, value, attributes, take) {
    var input = make("input", Object.assign({ "class": "input", type: "text", "aria-label": label, autocomplete: "off" }, attributes)); input.value = value;
    input.addEventListener("input", function () { take(input.value); });
    input.addEventListener("keydown", function (event) { if (event.key === "Enter") event.preventDefault(); }); return input;
  }

  /* ---- Conditions as a tree --------------------------------------------------------------------------------------- */
  function group(join, of) { return { k: ++serial, join: join, of: of || [] }; }
  function node(data) {                  // throws what is no condition
    if (data && Array.isArray(data.all)) return group("all", data.all.map(node));
    if (data && Array.isArray(data.any)) return group("any", data.any.map(node));
    if (data && data.not) return group("none", Array.isArray(data.not.any) ? data.not.any.map(node) : [node(data.not)]);
    if (!data || typeof data.field !== "string") throw new Error("no condition");
    return { k: ++serial, field: data.field, op: String(data.op), value: data.value, n: data.n, where: data.where ? rooted(data.where) : null };
  }
  function rooted(data) { var made = node(data); return made.join ? made : group("all", [made]); }
  function write(at) {
    if (at.join) { var of = at.of.map(write); return at.join === "all" ? { all: of } : at.join === "any" ? { any: of } : { not: { any: of } }; }
    var data = { field: at.field, op: at.op };
    if (COUNTS.indexOf(at.op) >= 0) data.n = at.n; else if (BARE.indexOf(at.op) < 0) data.value = at.value;
    if (at.where && at.where.of.length) data.where = write(at.where);
    return data;
  }
  function places(at, path, found) {     // [path, node] of every one, as the server names them
    var dot = path ? path + "." : ""; found.push([path, at]);
    if (at.join) at.of.forEach(function (inner, n) { places(inner, dot + (at.join === "none" ? "not.any" : at.join) + "[" + n + "]", found); });
    else if (at.where) places(at.where, dot + "where", found);
    return found;
  }
  function shape(op) { return BARE.indexOf(op) >= 0 ? "bare" : COUNTS.indexOf(op) >= 0 ? "count" : SPANS.indexOf(op) >= 0 ? "span" : op === "between" ? "pair" : op === "in" || op === "not_in" ? "list" : "one"; }
  function begin(kind, op) { return { bare: undefined, count: undefined, span: "30d", pair: ["", ""], list: [], one: kind === "boolean" ? true : "" }[shape(op)]; }
  function turned(kind, value, from, to) {
    var was = shape(from), now = shape(to), listed = Array.isArray(value);
    if (was === now) return value;
    if (now === "list" && was === "one" && value !== "") return [value];
    if (now === "pair" && was === "one") return [value, ""];
    if (now === "one" && (was === "list" || was === "pair") && listed && value.length) return value[0];
    return begin(kind, to);
  }

  /* ---- The builder ------------------------------------------------------------------------------------------------ */
  function build(holder, offered) {
    var area = one("textarea", holder), words = offered.words, few = offered.few, id = area.id, label = one("label[for='" + CSS.escape(id) + "']"), tree = null, problem = null, timer = 0, looking = null, waiting = false, quiet = "quiet" in holder.dataset, draft = area.value;
    var rows = make("div", { "class": "builder-rows" }), said = make("p", { "class": "builder-said", role: "status" }), swap = press(words.text, "braces", "plain sm", function () { if (box.classList.contains("as-text")) rowsAgain(); else asText(true); });
    var reason = why(holder.dataset.condition, holder.dataset.condition.replace(/condition$/, "lookup"), words, function () { return draft; }, holder.dataset.whyLabel);
    var box = make("div", { "class": "builder", role: "group", tabindex: "-1" }, rows, said, make("div", { "class": "row wrap builder-end" }, reason, swap));
    ["input", "change"].forEach(function (type) { box.addEventListener(type, function (event) { if (event.target !== area) event.stopPropagation(); }); });   // what the form knows is the text alone
    area.id = id + "-text"; box.id = id; if (label) { label.removeAttribute("for"); label.id = id + "-label"; area.setAttribute("aria-labelledby", label.id); box.setAttribute("aria-labelledby", label.id); }
    if (area.hasAttribute("aria-describedby")) box.setAttribute("aria-describedby", area.getAttribute("aria-describedby"));
    holder.append(box); rows.before(area); area.addEventListener("input", function (event) { event.stopPropagation(); draft = area.value; later(); if (!quiet) tell(); });

    function asText(focus) {
      box.classList.add("as-text"); area.hidden = false; rows.hidden = true; swap.lastChild.textContent = words.rows; tree = null;
      area.value = draft; try { if (draft.trim()) area.value = JSON.stringify(JSON.parse(draft), null, 2); } catch (e) { /* as it is */ }
      if (focus) area.focus();
    }
    function rowsAgain() {
      try { tree = draft.trim() ? rooted(JSON.parse(draft)) : group("all"); }
      catch (e) { asText(false); said.textContent = words.broken; say(words.broken); return; }
      box.classList.remove("as-text"); area.hidden = true; rows.hidden = false; swap.lastChild.textContent = words.text; render();
    }
    function changed(where, focus) {
      draft = tree.of.length ? JSON.stringify(write(tree)) : "";
      later(); if (!quiet) tell();
      if (where) render(focus);
    }
    function tell() { area.value = draft; area.dispatchEvent(new Event("change", { bubbles: true })); }   // a list, which counts what its form says, hears only of what is finished
    function later() { clearTimeout(timer); waiting = true; timer = setTimeout(function () { look(); }, LOOK); }
    function look(then) {
      if (looking) looking.abort(); looking = new AbortController(); var asked = draft;
      if (!asked.trim()) { if (quiet && waiting) tell(); problem = null; waiting = false; said.textContent = ""; mark(); if (then) then(); return; }
      said.setAttribute("aria-busy", "true");
      post(holder.dataset.condition, { condition: asked }, looking.signal).then(function (found) {
        var before = Object.keys(names).length; learn(found.names); said.removeAttribute("aria-busy"); if (asked !== draft) return;
        problem = found.problem; waiting = false; told(found); if (quiet && !problem && tree) tell();
        if (tree && Object.keys(names).length > before && !rows.contains(doc.activeElement)) render(); else mark();
        if (then) then();
      }).catch(function (e) { if (e.name !== "AbortError") { said.removeAttribute("aria-busy"); said.textContent = words.failed; } });
    }
    function told(found) {
      said.replaceChildren(); said.classList.toggle("none", !!found.none);
      if (found.problem) return;
      if (found.match && !quiet) said.append(make("b", { "class": "num" }, found.match), " ");
      said.append(make("span", { "class": "soft" }, found.said));
    }
    function mark() {                    // the problem at the row that has it
      all(".builder-problem", box).forEach(function (p) { p.remove(); });
      all("[data-wrong]", box).forEach(function (e) { e.removeAttribute("data-wrong"); e.removeAttribute("aria-invalid"); e.removeAttribute("aria-describedby"); });
      if (!problem) return;
      var here = null, longest = -1;
      if (tree) places(tree, "", []).forEach(function (pair) { var p = pair[0]; if (p.length > longest && (problem.path === p || problem.path.indexOf(p + ".") === 0 || !p)) { here = pair[1]; longest = p.length; } });
      var row = here && one("[data-k='" + here.k + "']", rows), open = here && !here.join && (here.value === "" || Array.isArray(here.value) && !here.value.filter(function (v) { return v !== ""; }).length || !here.field);
      var p = make("p", { "class": "builder-problem " + (open ? "hint" : "wrong-here"), id: id + "-problem" }, open ? null : icon("alert-circle", "tiny"), make("span", {}, problem.text));
      (row || said).append(p);
      var control = row && !here.join && (one(".builder-value input, .builder-value select", row) || one("input", row));
      if (control) { control.dataset.wrong = ""; control.setAttribute("aria-describedby", p.id); if (!open) control.setAttribute("aria-invalid", "true"); }
    }

    /* -- what is shown -- */
    function render(focus) {
      rows.replaceChildren(groupOf(tree, offered, null, words.condition)); mark();
      var target = focus && one("[data-k='" + focus[0] + "'] [data-part='" + focus[1] + "'], [data-k='" + focus[0] + "'][data-part='" + focus[1] + "']", rows);
      if (target) { target = target.matches("input, select, button") ? target : one("input, select, button", target) || target; target.focus(); if (target.type === "text") target.select(); }
    }
    function groupOf(at, known, outer) {
      var items = make("ol", { "class": "builder-list" }), name = words[at.join];
      at.of.forEach(function (inner, n) {
        items.append(make("li", {}, inner.join ? groupOf(inner, known, at, n) : rowOf(inner, known, at, n)));
      });
      var add = make("div", { "class": "row wrap" }, tagged(press(words.add, "plus", "sm", function () { var fresh = { k: ++serial, field: "", op: "", value: "", where: null }; at.of.push(fresh); changed(true, [fresh.k, "field"]); }), "add"),
        press(words.addGroup, "stack-2", "plain sm", function () { var fresh = { k: ++serial, field: "", op: "", value: "", where: null }, inside = group(at.join === "any" ? "all" : "any", [fresh]); at.of.push(inside); changed(true, [fresh.k, "field"]); }));
      var join = at.of.length > 1 || at.join !== "all" || outer ? choose(words.join, ["all", "any", "none"].map(function (j) { return [j, words[j]]; }), at.join, function (to) { at.join = to; changed(true, [at.k, "join"]); }) : null;
      if (join) tagged(join, "join");
      var head = join && make("div", { "class": "row builder-join" }, join, outer ? press(words.removeGroup, "trash", "plain square sm", function () { drop(outer, at); }, true) : null);
      return make("div", { "class": "builder-group", role: "group", "aria-label": name, "data-k": at.k }, head, items, add);
    }
    function drop(from, what) {
      var n = from.of.indexOf(what); from.of.splice(n, 1); var next = from.of[n] || from.of[n - 1];
      changed(true, next ? [next.k, next.join ? "join" : "field"] : [from.k, "add"]); say(words.removed);
    }
    function tagged(element, part) { element.dataset.part = part; return element; }
    function rowOf(leaf, known, outer, n) {
      var f = known.by[leaf.field], lost = leaf.field && !f, row = make("div", { "class": "builder-row", role: "group", "data-k": leaf.k, "aria-label": fill(words.condition, { n: n + 1 }) });
      var picker = combo({ label: words.field, words: words, value: f ? f.label : lost ? leaf.field : "", placeholder: words.choose,
        find: among(known.fields.map(function (o) { return { v: o.name, text: o.label, group: o.group }; })),
        take: function (o) { var to = known.by[o.v], usual = (to.kind === "date" || to.kind === "moment") && to.ops.some(function (p) { return p[0] === "in_last"; }) ? "in_last" : to.ops[0][0]; leaf.field = o.v; leaf.op = usual; leaf.value = begin(to.kind, usual); leaf.where = null; changed(true, [leaf.k, to.kind === "relation" ? "op" : "value"]); } });
      row.append(tagged(picker, "field")); picker.classList.add("builder-field");
      if (f && (f.ops.length > 1 || f.ops[0][0] !== "is")) row.append(tagged(choose(words.op, f.ops, leaf.op, function (to) {
        leaf.value = turned(f.kind, leaf.value, leaf.op, to); leaf.op = to; if (COUNTS.indexOf(to) >= 0 && typeof leaf.n !== "number") leaf.n = 1; changed(true, [leaf.k, "op"]);
      }), "op"));
      if (f) row.append(tagged(make("div", { "class": "builder-value" }, editor(leaf, f)), "value"));
      row.append(press(words.remove, "x", "plain square", function () { drop(outer, leaf); }, true));
      if (f && f.kind === "relation") row.append(related(leaf, f));
      return row;
    }
    function related(leaf, f) {
      var into = make("div", { "class": "builder-where" }), url = "/admin/" + f.target + "/fields", here = kept[url] && kept[url].now;
      if (!leaf.where) leaf.where = group("all");
      if (here) into.append(make("p", { "class": "faint small" }, words.where), groupOf(leaf.where, here, null));
      else catalogue(url).then(function () { if (tree) render(doc.activeElement && rows.contains(doc.activeElement) ? [leaf.k, "op"] : null); }).catch(function () { into.append(words.failed); });
      return into;
    }

    /* -- values by kind -- */
    function editor(leaf, f) {
      function set(value) { leaf.value = value; changed(); }
      var name = f.label + ": ";
      switch (shape(leaf.op)) {
        case "bare": return "";
        case "count": return typed(words.number, String(leaf.n === undefined ? "" : leaf.n), { "class": "input num", inputmode: "numeric" }, function (text) { leaf.n = /^\d{1,7}$/.test(text.trim()) ? Number(text) : text; changed(); });
        case "span": return span(leaf.value, f.kind === "moment", name, set);
        case "pair":
          if (!Array.isArray(leaf.value)) leaf.value = ["", ""];
          return make("div", { "class": "builder-pair" }, single(f, leaf.value[0], name + words.low, function (v) { leaf.value[0] = v; changed(); }), single(f, leaf.value[1], name + words.high, function (v) { leaf.value[1] = v; changed(); }));
        case "list": return f.choices ? several(leaf, f, name) : f.target ? chips(leaf, f, name, lookUp(f.target), true) : typed(name + words.value, (leaf.value || []).join(", "), { "class": "input num" }, function (text) { set(text.split(",").map(function (p) { return p.trim(); }).filter(Boolean).map(function (p) { return whole(p, 0); })); });
      }
      if (f.kind === "ref") return chips(leaf, f, name, lookUp(f.target), false);
      return single(f, leaf.value, name + words.value, set);
    }
    function single(f, value, name, set) {
      if (f.kind === "boolean") return choose(name, [["true", words.yes], ["false", words.no]], String(value), function (v) { set(v === "true"); });
      if (f.kind === "date" || f.kind === "moment") return when(value, f.kind === "moment", name, set);
      if (f.kind === "number" || f.kind === "money") return typed(name, figure(value, f.digits || 0), { "class": "input num", inputmode: f.digits ? "decimal" : "numeric" }, function (text) { set(whole(text, f.digits || 0)); });
      return typed(name, String(value === undefined || value === null ? "" : value), { maxlength: 1000 }, set);
    }
    function several(leaf, f, name) {
      var values = Array.isArray(leaf.value) ? leaf.value : leaf.value = [], options = f.choices.map(function (c) { return { v: c[0], text: c[1] }; });
      values.forEach(function (v) { if (!options.some(function (o) { return o.v === v; })) options.push({ v: v, text: String(v) }); });
      if (options.length > few) { options.forEach(function (o) { names[f.name + ":" + o.v] = o.text; }); return chips(leaf, f, name, among(options), true); }
      return make.apply(null, ["div", { "class": "choices", role: "group", "aria-label": name + words.value }].concat(options.map(function (o) {
        var tick = make("input", { type: "checkbox" }); tick.checked = values.indexOf(o.v) >= 0;
        tick.addEventListener("change", function () { leaf.value = options.filter(function (p) { return p === o ? tick.checked : leaf.value.indexOf(p.v) >= 0; }).map(function (p) { return p.v; }); changed(); });
        return make("label", { "class": "check" }, tick, make("span", {}, o.text));
      })));
    }
    function chips(leaf, f, name, find, many) {
      var values = many ? Array.isArray(leaf.value) ? leaf.value : [] : leaf.value === "" || leaf.value === undefined ? [] : [leaf.value], table = f.choices ? f.name : f.target, bar = make("div", { "class": "bar chosen" });
      values.forEach(function (v) {
        var text = names[table + ":" + v] || (f.choices ? String(v) : "#" + v);
        var off = make("button", { type: "button", "aria-label": fill(words.takeOut, { name: text }) }, icon("x"));
        off.addEventListener("click", function () { leaf.value = many ? values.filter(function (w) { return w !== v; }) : ""; changed(true, [leaf.k, "value"]); say(words.removed); });
        bar.append(make("span", { "class": "chip" }, make("span", {}, make("bdi", {}, text)), off));
      });
      var box = combo({ label: name + words.value, words: words, value: "", placeholder: words.find,
        find: function (term) { return Promise.resolve(find(term)).then(function (found) { return found.filter(function (o) { return values.indexOf(o.v) < 0; }); }); },
        take: function (o) { names[table + ":" + o.v] = o.text; leaf.value = many ? values.concat([o.v]) : o.v; changed(true, [leaf.k, "value-in"]); } });
      tagged(box.input, "value-in"); return make("div", { "class": "builder-chips" }, values.length ? bar : null, box);
    }
    function span(value, hours, name, set) {
      var found = /^(\d{1,6})([hdwmy])$/.exec(value) || ["", value && /^\d+$/.test(value) ? value : "", "d"], n = found[1], unit = found[2];
      function put() { set(n + unit); }
      return make("div", { "class": "builder-span" }, typed(name + words.number, n, { "class": "input num", inputmode: "numeric" }, function (text) { n = text.trim(); put(); }),
        choose(name + words.unit, "hdwmy".split("").filter(function (u) { return hours || u !== "h"; }).map(function (u) { return [u, words[u]]; }), unit, function (u) { unit = u; put(); }));
    }
    function when(value, moments, name, set) {
      value = String(value === undefined || value === null ? "" : value);
      var relative = /^([+-]?)(\d{1,6})([hdwmy])$/.exec(value), kind = words[value] && /^(today|yesterday|tomorrow|now)$/.test(value) ? value : relative ? relative[1] === "-" ? "ago" : "ahead" : value.indexOf("T") > 0 ? "moment" : "day";
      var box = make("div", { "class": "builder-when" }), rest = make("div", { "class": "grow" });
      function inner() {
        if (kind === "day") return typed(name, /^\d{4}-\d\d-\d\d$/.test(value) ? value : "", { "class": "input num", type: "date", max: "2999-12-31" }, function (v) { value = v; set(v); });
        if (kind === "moment") return typed(name, value.slice(0, 16), { "class": "input num", type: "datetime-local", max: "2999-12-31T23:59" }, function (v) { value = v; set(v); });
        if (kind === "ago" || kind === "ahead") return span(value.replace(/^[+-]/, ""), moments, name, function (v) { value = (kind === "ago" ? "-" : "") + v; set(value); });
        return "";
      }
      var kinds = ["day"].concat(moments ? ["moment"] : [], ["today", "yesterday", "tomorrow", "ago", "ahead"], moments ? ["now"] : []);
      box.append(choose(name + words.when, kinds.map(function (k) { return [k, words[k]]; }), kind, function (to) {
        kind = to; value = to === "ago" ? "-30d" : to === "ahead" ? "30d" : to === "day" || to === "moment" ? "" : to; set(value); rest.replaceChildren(inner());
      }), rest); rest.append(inner()); return box;
    }
    function figure(value, digits) {
      if (typeof value !== "number") return String(value === undefined || value === null ? "" : value);
      if (!digits) return String(value);
      var text = String(Math.abs(value)).padStart(digits + 1, "0");
      return (value < 0 ? "-" : "") + text.slice(0, -digits) + point() + text.slice(-digits);
    }
    function point() { return (1.5).toLocaleString(root.lang || undefined).replace(/[\d١٥]/g, "")[0] || "."; }
    function whole(text, digits) {       // what is no number stays as it was typed, and the server says so
      var plain = text.trim().replace(/[\s\u00a0\u202f']/g, ""), comma = plain.lastIndexOf(","), dot = plain.lastIndexOf(".");
      if (comma >= 0 && dot >= 0) plain = comma > dot ? plain.replace(/\./g, "").replace(",", ".") : plain.replace(/,/g, ""); else plain = plain.replace(",", ".");
      var found = /^([-−]?)(\d+)(?:\.(\d*))?$/.exec(plain), part = found && (found[3] || "").replace(/0+$/, "");
      if (!found || part.length > digits || found[2].length > 13) return text.trim();
      return (found[1] ? -1 : 1) * Number(found[2] + part.padEnd(digits, "0"));
    }

    /* an address with an unfinished condition would only lead to a refusal: it is said here, before the form is sent */
    if (area.form && area.form.method === "get") window.addEventListener("submit", function (event) {
      if (event.target !== area.form || !box.isConnected || !(waiting || problem)) return;
      event.preventDefault(); event.stopImmediatePropagation();
      if (waiting) { clearTimeout(timer); look(function () { if (!problem) area.form.requestSubmit(); }); return; }
      var wrong = one("[data-wrong]", box) || one(".builder-problem", box); if (wrong) { wrong.focus(); wrong.scrollIntoView({ block: "center" }); } say(problem.text);
    }, true);
    rowsAgain(); if (draft.trim()) look();
  }

  /* ---- Why one row is in or out ----------------------------------------------------------------------------------- */
  function why(url, lookup, words, condition, label) {
    var told = make("div", { "class": "builder-why", role: "status" }), box = combo({ label: label, words: words, value: "", placeholder: words.find, find: lookUp(lookup.split("/")[2]), take: function (o, input) { input.value = o.text; ask(o); } });
    function ask(o) {
      post(url, { condition: condition(), pk: String(o.v) }).then(function (found) {
        told.replaceChildren();
        if (found.problem) return told.append(make("p", { "class": "wrong-here" }, icon("alert-circle", "tiny"), make("span", {}, found.problem.text)));
        if (!found.why) return told.append(make("p", { "class": "faint" }, words.unseen));
        if (!found.why.lines.length) return told.append(make("p", { "class": "faint" }, words.unseen));
        told.append(make("p", {}, make("b", {}, make("bdi", {}, o.text)), " ", make("span", { "class": "badge " + (found.why["in"] ? "ok" : "") }, found.why["in"] ? words["in"] : words.out)));
        told.append(make.apply(null, ["ul", { "class": "list" }].concat(found.why.lines.map(function (l) {
          return make("li", {}, icon(l.good ? "check" : "x", "tiny " + (l.good ? "t-ok" : "t-bad")), make("span", { "class": "grow" }, l.text), make("span", { "class": "small " + (l.good ? "soft" : "t-bad") }, l.said));
        }))));
      }).catch(function () { told.replaceChildren(words.failed); });
    }
    var fold = make("details", { "class": "fold builder-asks" }, make("summary", {}, make("span", { "class": "btn plain sm" }, icon("chevron-right", "turn"), label)), make("div", { "class": "stack" }, box, told));
    return fold;
  }

  /* ---- Begin ------------------------------------------------------------------------------------------------------ */
  function start(inside) {
    all("[data-condition]:not([data-built])", inside).forEach(function (holder) {
      holder.dataset.built = "";
      catalogue(holder.dataset.fields).then(function (offered) { build(holder, offered); }).catch(function () { delete holder.dataset.built; });
    });
    all("[data-why]:not([data-built])", inside).forEach(function (holder) {
      holder.dataset.built = "";
      catalogue(holder.dataset.fields).then(function (offered) { holder.append(why(holder.dataset.why, holder.dataset.findIn, offered.words, function () { return holder.dataset.asked; }, holder.dataset.whyLabel)); }).catch(function () { delete holder.dataset.built; });
    });
  }
  doc.addEventListener("fragment", function (event) { start(event.target); });
  start(doc);
})();
