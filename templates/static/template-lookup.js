/* The composer: the look-up of templates offers those of the chosen category, and of the project that all recipients are
   of, first. */
(function () {
  "use strict";
  var source = document.querySelector("[data-template-source]"), form = source && source.form; if (!form) return;
  var base = source.dataset.lookup;
  function narrow() {
    var category = form.querySelector("input[name='category']");
    var asked = new URLSearchParams();
    if (category && category.value) asked.set("category", category.value);
    if (source.dataset.project) asked.set("project", source.dataset.project);
    source.dataset.lookup = base + (String(asked) ? "?" + asked : "");
  }
  form.addEventListener("lookup:chosen", narrow); form.addEventListener("change", narrow); narrow();
})();
