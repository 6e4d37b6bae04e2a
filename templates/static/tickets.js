/* The answer box of a ticket. Without this script the box works all the same: canned replies are links, and the lock is left out.

   form[data-answer="id"]     the box; data-canned-source, data-state-source: where canned replies and the news come from;
                              data-lock-url, data-unlock-url: posted when somebody begins to write, and when they leave;
                              data-held: the lock is this person's already
   a[data-canned="id"]        puts the canned reply where the cursor stands
   [data-talk-news]           who answers meanwhile, and that somebody has written; read out
   "/" and letters            find a canned reply; the arrow keys choose, Enter takes, Escape closes. Ctrl+Enter sends. */
(function () {
  "use strict";
  var doc = document, form = doc.querySelector("form[data-answer]"); if (!form || !window.fetch) return;
  var area = form.querySelector("textarea[name=text]"), list = form.querySelector("#slash"), news = doc.querySelector("[data-talk-news]");
  var RENEW = 40000, ASK = 20000;                     // milliseconds: the lock holds for two minutes
  var replies = null, found = [], at = -1, from = -1, held = form.hasAttribute("data-held"), sent = false, written = 0, renewed = 0;

  /* ---- Canned replies ---------------------------------------------------------------------------------------------- */
  function load() {
    if (!replies) replies = fetch(form.dataset.cannedSource, { credentials: "same-origin" }).then(function (r) { if (!r.ok) throw new Error(r.status); return r.json(); })
      .then(function (data) { return data.replies; }).catch(function () { replies = null; return []; });
    return replies;
  }
  function plain(text) { return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase(); }
  function put(text, begin) {
    area.focus(); area.setRangeText(text, begin === undefined ? area.selectionStart : begin, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function close() { list.hidden = true; found = []; at = from = -1; area.removeAttribute("aria-activedescendant"); }
  function choose(n) {
    at = n;
    Array.prototype.forEach.call(list.children, function (o, i) { o.setAttribute("aria-selected", String(i === n)); if (i === n) o.scrollIntoView({ block: "nearest" }); });
    if (found[n]) area.setAttribute("aria-activedescendant", "slash-" + found[n].id);
  }
  function take(n) { var reply = found[n], begin = from; close(); if (reply) put(reply.text, begin); }
  function say(text) { var p = doc.getElementById("announce"); if (p) p.textContent = text; }
  function show(words, begin) {
    load().then(function (all) {
      var now = asked(); if (!now || now.from !== begin) return;
      var wanted = plain(words).split(/\s+/).filter(Boolean);
      found = all.filter(function (r) { var name = plain(r.name); return wanted.every(function (w) { return name.indexOf(w) >= 0; }); }).slice(0, 8);
      from = begin;
      list.replaceChildren.apply(list, found.map(function (r, i) {
        var option = doc.createElement("div"), name = doc.createElement("bdi"), hint = doc.createElement("span");
        option.id = "slash-" + r.id; option.setAttribute("role", "option"); option.dataset.take = i;
        name.textContent = r.name; hint.textContent = r.text.split("\n")[0]; hint.className = "hint"; hint.lang = r.language;
        option.append(name, hint); return option;
      }));
      list.hidden = !found.length;
      say(found.length ? form.dataset.saidFound.replace("{n}", found.length) : form.dataset.saidNone);
      if (found.length) choose(0); else close();
    });
  }
  function asked() {                    // "/" and what follows, right before the cursor; null: nothing is asked
    if (area.selectionStart !== area.selectionEnd) return null;
    var before = area.value.slice(0, area.selectionStart), match = /(^|\s)\/([^\/\n]{0,40})$/.exec(before);
    return match ? { words: match[2], from: before.length - match[2].length - 1 } : null;
  }
  if (list && form.querySelector("[data-canned]")) {
    area.setAttribute("aria-autocomplete", "list"); area.setAttribute("aria-haspopup", "listbox"); area.setAttribute("aria-controls", "slash");
    area.addEventListener("input", function () { var now = asked(); if (now) show(now.words, now.from); else close(); });
    area.addEventListener("blur", function () { setTimeout(close, 150); });
    list.addEventListener("pointerdown", function (event) { var option = event.target.closest("[data-take]"); if (option) { event.preventDefault(); take(Number(option.dataset.take)); } });
  }
  area.addEventListener("keydown", function (event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); return; }
    if (list.hidden || event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); choose((at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length); }
    else if (event.key === "Enter" || event.key === "Tab") { event.preventDefault(); take(at); }
    else if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); }
  });
  form.addEventListener("click", function (event) {
    var link = event.target.closest("a[data-canned]"); if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault(); link.closest("details").open = false;
    load().then(function (all) {
      var reply = all.find(function (r) { return String(r.id) === link.dataset.canned; });
      if (reply) put(reply.text); else location.assign(link.href);
    });
  });

  /* ---- Who answers ------------------------------------------------------------------------------------------------- */
  function post(url, keep) {
    var body = new FormData(); body.set("pks", form.dataset.answer);
    return fetch(url, { method: "POST", body: body, credentials: "same-origin", keepalive: !!keep, headers: { "X-Fragment": "lock" } });
  }
  function tell(text, more) {           // a banner in the place of news; more: a link that shows what is new
    var known = news.querySelector(".banner p"); if ((known ? known.dataset.told || known.textContent : "") === text) return;
    news.replaceChildren(); if (!text) return;
    var banner = doc.createElement("div"), p = doc.createElement("p"); banner.className = "banner warn"; p.className = "grow"; p.textContent = p.dataset.told = text;
    banner.append(p);
    if (more) { var a = doc.createElement("a"); a.href = location.pathname + location.search; a.textContent = more; banner.append(a); }
    news.append(banner);
  }
  function lock() {
    renewed = Date.now();
    post(form.dataset.lockUrl).then(function (r) {
      if (!r.ok || r.redirected) throw new Error(r.status); return r.json();
    }).then(function (now) { held = now.held; tell(now.said); }).catch(function () {});
  }
  area.addEventListener("input", function () {
    written = Date.now(); if (form.querySelector("[name=internal]").checked || !area.value.trim()) return;
    if (written - renewed > RENEW) lock();
  });
  form.addEventListener("submit", function () { sent = true; });
  window.addEventListener("pagehide", function () { if (held && !sent) post(form.dataset.unlockUrl, true).catch(function () {}); });
  window.addEventListener("pageshow", function (event) { if (event.persisted) { sent = held = false; renewed = 0; } });
  setInterval(function () {
    if (doc.hidden || sent) return;
    var seen = form.querySelector("[name=seen]").value;
    fetch(form.dataset.stateSource + "&seen=" + encodeURIComponent(seen), { credentials: "same-origin" }).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.json(); }).then(function (now) {
      if (now.newer) tell(form.dataset.saidNewer, form.dataset.saidReload); else tell(now.lock);
    }).catch(function () {});
  }, ASK);
})();
