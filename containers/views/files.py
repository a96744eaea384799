from django.http import HttpResponse


def browse(request, pk=0): return HttpResponse('stub')
def download(request, pk=0): return HttpResponse('stub')
