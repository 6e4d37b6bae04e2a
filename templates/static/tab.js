/* The card of a record: tabs, pages inside a tab and the kinds of the timeline are put into place without a new page.
   The server gives the same address as a fragment (X-Fragment: tab, or main for the main column alone). Without this
   script, and when anything fails, each of these links leads to the whole page.

   #tab               what stands below the tabs;   #tab-waits   a template that is shown while it loads
   a[data-pick]       a kind of the timeline: replaces #timeline
   a[data-more]       earlier events: adds them to [data-events]
   form[data-kept]    what is typed there survives a change of the tab */
(function () {
  "use strict";
  var doc = document, tab = doc.getElementById("tab"), bones = doc.getElementById("tab-waits"), nav = doc.querySelector(".page > .tabs");
  if (!tab || !window.fetch || !window.history.pushState) return;
  var asked = null, typed = {}, shown = place(location);
  function place(url) { return url.pathname + url.search; }
  function say(text) { var p = doc.getElementById("announce"); if (p) { p.textContent = ""; setTimeout(function () { p.textContent = text; }, 30); } }
  function tabOf(url) { return new URL(url, location.href).searchParams.get("tab") || ""; }
  function links() { return nav ? Array.prototype.slice.call(nav.querySelectorAll("a")) : []; }

  function keep() { tab.querySelectorAll("[data-kept] textarea").forEach(function (t) { typed[t.name] = t.value; }); }
  function refill() { tab.querySelectorAll("[data-kept] textarea").forEach(function (t) { if (typed[t.name]) t.value = typed[t.name]; }); }

  function get(url, part, region, put) {
    if (asked) asked.abort();
    var mine = asked = new AbortController();
    region.setAttribute("aria-busy", "true");
    return fetch(url, { headers: { "X-Fragment": part }, credentials: "same-origin", signal: mine.signal })
      .then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.text(); })
      .then(function (html) {
        if (asked !== mine) return;
        var holder = doc.createElement("template"); holder.innerHTML = html; asked = null;
        put(holder.content);
        doc.querySelectorAll("#tab[aria-busy], #timeline[aria-busy]").forEach(function (e) { e.removeAttribute("aria-busy"); });
        tab.dispatchEvent(new CustomEvent("fragment", { bubbles: true }));
      })
      .catch(function (error) { if (error.name !== "AbortError") location.assign(url); });
  }

  function open(url) {
    var current = links().find(function (a) { return tabOf(a.href) === tabOf(url); });
    links().forEach(function (a) { if (a === current) a.setAttribute("aria-current", "page"); else a.removeAttribute("aria-current"); });
    if (current) current.scrollIntoView({ block: "nearest", inline: "nearest" });
    keep();
    tab.style.minHeight = Math.min(tab.offsetHeight, innerHeight) + "px";      // so that nothing below jumps
    var slow = setTimeout(function () { if (bones) tab.replaceChildren(bones.content.cloneNode(true)); }, 120);
    return get(url, "tab", tab, function (content) {
      clearTimeout(slow); tab.replaceChildren(content); tab.style.minHeight = ""; refill();
      var head = tab.querySelector("h2"); if (head) say(head.textContent);
    }).finally(function () { clearTimeout(slow); });
  }

  function pick(link) {
    var at = link.dataset.pick, old = doc.getElementById("timeline");
    return get(link.href, "main", old, function (content) {
      var fresh = content.getElementById("timeline"); old.replaceWith(fresh);
      var again = fresh.querySelector("[data-pick='" + at + "']"); if (again) again.focus();
    });
  }

  function more(link) {
    var list = tab.querySelector("[data-events]"), foot = link.parentElement;
    link.setAttribute("aria-busy", "true");
    return get(link.href, "main", doc.getElementById("timeline"), function (content) {
      var fresh = content.querySelector("[data-events]"), days = list.querySelectorAll("[data-day]"), first = fresh.querySelector("[data-day]");
      if (first && days.length && days[days.length - 1].dataset.day === first.dataset.day) first.remove();
      var next = fresh.querySelector(".event"), on = content.querySelector("[data-more]");
      list.append.apply(list, Array.prototype.slice.call(fresh.children));
      if (on) foot.replaceChildren(on); else foot.remove();
      next.tabIndex = -1; next.focus({ preventScroll: true });
    });
  }

  doc.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.target || link.hasAttribute("download") || link.origin !== location.origin || link.pathname !== location.pathname || link.hash) return;
    var among = nav && (nav.contains(link) || link.closest(".stats"));
    if (!among && !tab.contains(link)) return;
    event.preventDefault();
    if (link.hasAttribute("data-more")) { more(link); return; }
    if (place(link) !== shown) { history.pushState(null, "", link.href); shown = place(link); }
    if (link.hasAttribute("data-pick")) pick(link);
    else open(link.href).then(function () {
      if (among || doc.activeElement !== doc.body) return;          // the pressed link went away with its page
      var head = tab.querySelector("h2"); if (head) { head.tabIndex = -1; head.focus(); }
    });
  });
  window.addEventListener("popstate", function () {
    if (place(location) !== shown) { shown = place(location); open(location.href); }
  });
})();
