/* Payments: the look-ups of a customer's things follow the customer; [data-print] prints the page. */
(function () {
  "use strict";
  function follow(id) {
    ["account", "payer", "invoice"].forEach(function (name) {
      var hidden = document.querySelector('#form [name="' + name + '"]'), box = hidden && hidden.closest("[data-lookup-box]");
      var input = box && box.querySelector("[data-lookup]");
      if (!input) return;
      input.dataset.lookup = input.dataset.lookup.split("?")[0] + (id ? "?customer=" + encodeURIComponent(id) : "");
    });
  }
  document.addEventListener("lookup:chosen", function (event) {
    var box = event.target.closest("[data-lookup-box]"), hidden = box && box.querySelector("input[type=hidden]");
    if (hidden && hidden.name === "customer") follow(event.detail.id);
  });
  document.querySelectorAll("[data-print]").forEach(function (button) {
    button.hidden = false;
    button.addEventListener("click", function () { window.print(); });
  });
  var start = document.querySelector('#form [name="customer"]');
  if (start && start.value) follow(start.value);
})();
