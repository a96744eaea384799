from django.http import HttpResponse


def nodes(request, pk=0): return HttpResponse('stub')
def node(request, pk=0): return HttpResponse('stub')
