/* Files that are too large, or too many, are named before anything is sent, so that nothing is lost. The words and the
   limits stand in #upload-words; forms.js shows what is said here at the field. */
(function () {
  "use strict";
  var doc = document, holder = doc.getElementById("upload-words"); if (!holder) return;
  var words = holder.dataset;
  function said(input) {
    var files = Array.prototype.slice.call(input.files), most = Number(words.most);
    var large = files.filter(function (f) { return f.size > most; })[0];
    if (large) return words.large.replace("{name}", large.name);
    if (files.reduce(function (sum, f) { return sum + f.size; }, 0) > Number(words.all)) return words.together;
    return files.length > Number(words.count) ? words.many : "";
  }
  function look(form) {
    Array.prototype.forEach.call(form.querySelectorAll("input[type=file]"), function (input) { input.setCustomValidity(said(input)); });
  }
  addEventListener("change", function (event) { if (event.target.form && event.target.type === "file") look(event.target.form); }, true);
  addEventListener("submit", function (event) { look(event.target); }, true);   // on the window: before forms.js looks
})();
