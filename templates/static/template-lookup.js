/* The composer: the look-up of templates offers those of the chosen category first. */
(function () {
  "use strict";
  var source = document.querySelector("[data-template-source]"), form = source && source.form; if (!form) return;
  var base = source.dataset.lookup;
  function narrow() {
    var category = form.querySelector("input[name='category']");
    source.dataset.lookup = category && category.value ? base + "?category=" + encodeURIComponent(category.value) : base;
  }
  form.addEventListener("lookup:chosen", narrow); form.addEventListener("change", narrow); narrow();
})();
